"""torchvision's detectors: the preset that each of them equals, and the names of its tensors there and here.

The tables are used in both directions. Two things differ beyond names: torchvision's background is class 0 and ours the
last class, and torchvision predicts a box for background, too, which nothing reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from faster_rcnn.settings.presets import preset
from faster_rcnn.weights.classes import coco_classes
from faster_rcnn.weights.foreign.layout import Layout, Rules, renamed, reversed_rules

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
"""Names in older checkpoints, such as the published ones of 2019 and 2021, and their current names."""


def with_current_names(foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Upgrade torchvision's names from before 0.13, and drop batch norm's counters, which nothing reads."""
    current = {}
    for name, tensor in foreign.items():
        for old, new in _NAMES_BEFORE_0_13:
            name = old.sub(new, name) if old.fullmatch(name) else name
        if not name.endswith("num_batches_tracked"):
            current[name] = tensor
    return current


def from_torchvision(foreign: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Rename torchvision's tensors to our names, and move the rows of background to the end."""
    return {renamed(name, rules): _classes_first(name, tensor) for name, tensor in foreign.items()}


def to_torchvision(ours: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """Rename our tensors to torchvision's names, with background first; the deltas of background are zeros."""
    back = reversed_rules(rules)
    return {renamed(name, back): _background_first(name, tensor) for name, tensor in ours.items()}


def _classes_first(name: str, tensor: Tensor) -> Tensor:
    """Move the first row, background, to the end; drop the first four rows, background's deltas."""
    if name.startswith("roi_heads.box_predictor.cls_score."):
        return torch.cat((tensor[1:], tensor[:1]))
    return tensor[4:] if name.startswith("roi_heads.box_predictor.bbox_pred.") else tensor


def _background_first(name: str, tensor: Tensor) -> Tensor:
    """Move the last row, background, to the front, and add four rows of zeros as its deltas."""
    if name.startswith("roi.classes."):
        return torch.cat((tensor[-1:], tensor[:-1]))
    return torch.cat((torch.zeros_like(tensor[:4]), tensor)) if name.startswith("roi.deltas.") else tensor


def _layout(preset_name: str, rules: Rules) -> Layout:
    return Layout(
        config=partial(preset, preset_name),
        with_current_names=with_current_names,
        to_ours=partial(from_torchvision, rules=rules),
        to_theirs=partial(to_torchvision, rules=rules),
        class_scores="roi_heads.box_predictor.cls_score.weight",
        classes=coco_classes,
        read_settings=lambda source, foreign, config: config,  # its files hold weights only
    )


LAYOUTS = {
    "torchvision:fasterrcnn_resnet50_fpn": _layout("base", _TWO_LAYERS),
    "torchvision:fasterrcnn_resnet50_fpn_v2": _layout("base-v2", _FOUR_CONVS),
    "torchvision:fasterrcnn_mobilenet_v3_large_fpn": _layout("mobile", _TWO_LAYERS),
    "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn": _layout("mobile-320", _TWO_LAYERS),
}
