"""torchvision's detectors: which preset each of them is, and what their tensors are called here.

The tables work in both directions. Two things differ beyond names: torchvision's background is class 0 and ours the
last one, and torchvision predicts a box for background, too, which nothing reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor

from faster_rcnn.config import Config
from faster_rcnn.errors import ModelFileError
from faster_rcnn.presets import preset
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import LoadedModel, new_model, refuse_misfits, stored_tensors

Rules = tuple[tuple[str, str], ...]
"""Beginnings of tensor names: torchvision's and ours."""

_COMMON: Rules = (
    ("backbone.body.", "backbone.body.layers."),
    ("backbone.fpn.inner_blocks.", "backbone.pyramid.lateral."),
    ("backbone.fpn.layer_blocks.", "backbone.pyramid.output."),
    ("rpn.head.conv.0.0.", "rpn.convs.0."),
    ("rpn.head.cls_logits.", "rpn.objectness."),
    ("rpn.head.bbox_pred.", "rpn.deltas."),
    ("roi_heads.box_predictor.cls_score.", "roi.classes."),
    ("roi_heads.box_predictor.bbox_pred.", "roi.deltas."),
)

_TWO_LAYERS: Rules = (
    *_COMMON,
    ("roi_heads.box_head.fc6.", "roi.head.layers.0."),
    ("roi_heads.box_head.fc7.", "roi.head.layers.1."),
)

_FOUR_CONVS: Rules = (
    *_COMMON,
    ("rpn.head.conv.1.0.", "rpn.convs.1."),
    ("roi_heads.box_head.0.", "roi.head.convs.0."),
    ("roi_heads.box_head.1.", "roi.head.convs.1."),
    ("roi_heads.box_head.2.", "roi.head.convs.2."),
    ("roi_heads.box_head.3.", "roi.head.convs.3."),
    ("roi_heads.box_head.5.", "roi.head.layers.0."),
)

_NAMES_BEFORE_0_13 = (
    (re.compile(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)"), r"\1.0.\2"),
    (re.compile(r"rpn\.head\.conv\.(weight|bias)"), r"rpn.head.conv.0.0.\1"),
)
"""Names in older checkpoints, the published ones of 2019 and 2021 among them, and what they are called since."""

_CLASS_SCORES = "roi_heads.box_predictor.cls_score.weight"


@dataclass(frozen=True, slots=True)
class Layout:
    """One of torchvision's detectors."""

    preset: str
    rules: Rules


LAYOUTS = {
    "torchvision:fasterrcnn_resnet50_fpn": Layout("base", _TWO_LAYERS),
    "torchvision:fasterrcnn_resnet50_fpn_v2": Layout("base-v2", _FOUR_CONVS),
    "torchvision:fasterrcnn_mobilenet_v3_large_fpn": Layout("mobile", _TWO_LAYERS),
    "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn": Layout("mobile-320", _TWO_LAYERS),
}


def layout_named(name: str) -> Layout:
    """A layout by the name that ``--layout`` takes; raises ``ModelFileError`` for another."""
    if name not in LAYOUTS:
        close = get_close_matches(name, LAYOUTS, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ModelFileError(f"there is no layout '{name}'; {hint}layouts are {', '.join(LAYOUTS)}", code="E123")
    return LAYOUTS[name]


def count_of_classes(source: Path | str, foreign: Mapping[str, Tensor]) -> int:
    """K, without background, of torchvision's tensors; raises ``ModelFileError`` where they do not tell."""
    scores = foreign.get(_CLASS_SCORES)
    if scores is None or scores.ndim != 2 or len(scores) < 2:
        raise ModelFileError(
            f"{source} holds no usable tensor '{_CLASS_SCORES}', so it is no Faster R-CNN of torchvision; "
            "nothing was loaded",
            code="E123",
        )
    return len(scores) - 1


def model_from_torchvision(
    source: Path | str, foreign: Mapping[str, Tensor], layout: str, classes: ClassMap, config: Config | None = None
) -> LoadedModel:
    """A detector with torchvision's weights, in inference mode; ``config`` is the layout's preset unless given.

    Raises ``ModelFileError`` if one tensor is missing, unknown or of another shape; then nothing is loaded.
    """
    rules = layout_named(layout).rules
    config = config or preset(layout_named(layout).preset)
    model = new_model(source, config, classes)
    wanted = to_torchvision(stored_tensors(model), rules)
    named = with_current_names(foreign)
    refuse_misfits(source, named, wanted, hint=_other_layout(named, layout))
    model.load_state_dict(from_torchvision(named, rules), strict=False)  # strict but for counters of batch norm
    return LoadedModel(model.eval(), config, classes)


def with_current_names(foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's tensors under the names it uses since 0.13, without batch norm's counters, which nothing reads."""
    current = {}
    for name, tensor in foreign.items():
        for old, new in _NAMES_BEFORE_0_13:
            name = old.sub(new, name) if old.fullmatch(name) else name
        if not name.endswith("num_batches_tracked"):
            current[name] = tensor
    return current


def from_torchvision(foreign: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """torchvision's tensors under our names, in our order of classes."""
    return {_renamed(name, rules): _classes_first(name, tensor) for name, tensor in foreign.items()}


def to_torchvision(ours: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Our tensors under torchvision's names, in its order of classes; the boxes of background are zeros."""
    back = tuple((new, old) for old, new in rules)
    return {_renamed(name, back): _background_first(name, tensor) for name, tensor in ours.items()}


def _renamed(name: str, rules: Rules) -> str:
    for old, new in rules:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def _classes_first(name: str, tensor: Tensor) -> Tensor:
    """Background from the first row to the last, and the four rows of its box dropped."""
    if name.startswith("roi_heads.box_predictor.cls_score."):
        return torch.cat((tensor[1:], tensor[:1]))
    return tensor[4:] if name.startswith("roi_heads.box_predictor.bbox_pred.") else tensor


def _background_first(name: str, tensor: Tensor) -> Tensor:
    """The inverse of ``_classes_first``."""
    if name.startswith("roi.classes."):
        return torch.cat((tensor[-1:], tensor[:-1]))
    return torch.cat((torch.zeros_like(tensor[:4]), tensor)) if name.startswith("roi.deltas.") else tensor


def _other_layout(foreign: Mapping[str, Tensor], asked: str) -> str:
    """A hint at the layout that these tensors look like, if it is not the one that was asked for."""
    mobile = "backbone.body.0.0.weight" in foreign
    four_convs = "roi_heads.box_head.5.weight" in foreign
    likely = "mobile" if mobile else "base-v2" if four_convs else "base"
    if likely == LAYOUTS[asked].preset.removesuffix("-320"):
        return ""
    name = next(name for name, layout in LAYOUTS.items() if layout.preset == likely)
    return f". The tensors look like --layout {name}"
