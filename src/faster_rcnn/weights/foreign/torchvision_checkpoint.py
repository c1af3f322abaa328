"""Export to torchvision: the detector of torchvision that equals a detector of ours, and the call that builds it.

A layout fixes the names of the weights and what the code computes with them; numbers such as sizes and thresholds are
arguments of torchvision's constructors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.errors import ModelFileError
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights.foreign.layouts import layout_named
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS

ARGUMENTS = {
    "image.short_side": "min_size",
    "image.long_side": "max_size",
    "image.mean": "image_mean",
    "image.std": "image_std",
    "rpn.positive_iou": "rpn_fg_iou_thresh",
    "rpn.negative_iou": "rpn_bg_iou_thresh",
    "rpn.samples_per_image": "rpn_batch_size_per_image",
    "rpn.positive_fraction": "rpn_positive_fraction",
    "rpn.proposals_before_nms_training": "rpn_pre_nms_top_n_train",
    "rpn.proposals_after_nms_training": "rpn_post_nms_top_n_train",
    "rpn.proposals_before_nms": "rpn_pre_nms_top_n_test",
    "rpn.proposals_after_nms": "rpn_post_nms_top_n_test",
    "rpn.nms_iou": "rpn_nms_thresh",
    "rpn.score_floor": "rpn_score_thresh",
    "roi.samples_per_image": "box_batch_size_per_image",
    "roi.positive_fraction": "box_positive_fraction",
    "roi.positive_iou": "box_fg_iou_thresh",
    "roi.negative_iou": "box_bg_iou_thresh",
    "roi.delta_weights": "bbox_reg_weights",
    "roi.score_floor": "box_score_thresh",
    "roi.nms_iou": "box_nms_thresh",
    "roi.max_detections": "box_detections_per_img",
}
"""Our settings that are arguments of torchvision's constructors, and the names of these arguments."""

EPSILON = "backbone.norm_epsilon"
"""Batch norm's epsilon is no argument of the constructors; it is set on the body of the model that they return."""

WITHOUT_EFFECT = {
    "detector.selective_search",
    "detector.outside_proposals",
    "backbone.weights",
    "backbone.norm",
    "backbone.frozen_stages",
    "rpn.crossing_anchors",
    "rpn.box_loss",
    "rpn.box_loss_beta",
    "rpn.box_loss_normaliser",
    "rpn.box_loss_weight",
    "roi.dropout",
    "roi.negative_iou_from",
    "roi.box_loss",
    "roi.box_loss_beta",
    "roi.box_loss_weight",
}
"""Settings of training only, on which the detections of a trained detector do not depend."""

SECTIONS = ("detector", "image", "backbone", "rpn", "roi")


@dataclass(frozen=True, slots=True)
class Plan:
    """How one of our detectors becomes one of torchvision's."""

    layout: str
    misfits: dict[str, tuple[object, object]]
    """Settings that torchvision's code fixes: ours, and the layout's."""
    arguments: dict[str, object]
    """Arguments of the constructor, beside the number of classes, that differ from those of the layout."""
    epsilon: float | None
    """Epsilon of batch norm, where it differs from that of the layout."""

    @property
    def differences(self) -> str:
        """The misfits in words: the first three, and how many more."""
        return _some(self.misfits)

    def calls(self, outputs: int, file: Path) -> list[str]:
        """Python that builds the detector and loads the exported file; ``outputs`` counts background."""
        every = {"weights": None, "weights_backbone": None, "num_classes": outputs, **self.arguments}
        words = ", ".join(f"{name}={value!r}" for name, value in every.items())
        load = f"torch.load({str(file)!r}, weights_only=True)"
        if file.suffix == ".safetensors":
            load = f"safetensors.torch.load_file({str(file)!r})"
        lines = [f"model = torchvision.models.detection.{self.layout.removeprefix('torchvision:')}({words})"]
        if self.epsilon is not None:
            lines += [
                "for layer in model.backbone.body.modules():",
                f"    if hasattr(layer, 'running_var'): layer.eps = {self.epsilon!r}",
            ]
        return [*lines, f"model.load_state_dict({load})"]


def plan_export(source: Path | str, config: Config, layout: str | None) -> Plan:
    """The plan for a layout, or for the one that fits best; raises ``ModelFileError`` where none fits."""
    if layout is not None and layout_named(layout) not in LAYOUTS.values():
        raise ModelFileError(f"'{layout}' is for import; layouts of export are {', '.join(LAYOUTS)}", code="E123")
    best = best_plan(config, [layout] if layout else list(LAYOUTS))
    if best.misfits:
        raise ModelFileError(
            f"{source} cannot become {best.layout}: {best.differences}; nothing was written. What can be exported "
            "is trained with --model base, base-v2, mobile or mobile-320",
            code="E123",
        )
    return best


def best_plan(config: Config, layouts: Sequence[str]) -> Plan:
    """The plan with the fewest misfits, then with the fewest arguments; it may have misfits still."""
    plans = [_plan(config, name) for name in layouts]
    return min(plans, key=lambda plan: (len(plan.misfits), len(plan.arguments)))


def _plan(config: Config, layout: str) -> Plan:
    ours, theirs = _settings(config), _settings(LAYOUTS[layout].config())
    differing = {key: (value, theirs[key]) for key, value in ours.items() if value != theirs[key]}
    fixed = {key: pair for key, pair in differing.items() if key not in {*ARGUMENTS, *WITHOUT_EFFECT, EPSILON}}
    arguments = {ARGUMENTS[key]: value for key, (value, _) in differing.items() if key in ARGUMENTS}
    epsilon = config.backbone.norm_epsilon if EPSILON in differing else None
    return Plan(layout, fixed, arguments, epsilon)


def _settings(config: Config) -> dict[str, Any]:
    """By section and name."""
    values = config.model_dump()
    return {f"{section}.{name}": value for section in SECTIONS for name, value in values[section].items()}


def _some(misfits: dict[str, tuple[object, object]], most: int = 3) -> str:
    named: Sequence[str] = [f"{key} is {ours}, there {theirs}" for key, (ours, theirs) in misfits.items()]
    more = len(named) - most
    return "; ".join(named[:most]) + (f"; settings that differ beside these: {more}" if more > 0 else "")
