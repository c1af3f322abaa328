"""Layouts are found by name, and files that do not fit one are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.foreign.layouts import LAYOUTS, count_classes, fit_of, layout_named, refuse_values

RPN = "detectron2:rpn_R_50_FPN_1x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detectron2:faster_rcnn_R_50", r"did you mean '.*R_50_FPN_3x', '.*R_50_C4_3x' or '.*R_50_DC5_3x'\?"),
        ("faster_rcnn_R_50_FPN_3x", r"did you mean 'detectron2:faster_rcnn_R_50_FPN_3x'\? layouts are torchvision:"),
        ("detectron2:faster_rcnn_r_50_fpn_1x", r"did you mean .*detectron2:faster_rcnn_R_50_FPN_3x"),
        ("yolo", r"there is no layout 'yolo'; layouts are torchvision:.*, detectron2:rpn_R_50_FPN_1x$"),
    ],
)
def test_an_unknown_layout_names_the_close_ones(text: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        layout_named(text)


def test_every_layout_is_found_by_its_name() -> None:
    assert all(layout_named(name) is layout for name, layout in LAYOUTS.items())


def test_classes_are_counted_without_background() -> None:
    layout = "torchvision:fasterrcnn_resnet50_fpn"
    name = layout_named(layout).class_scores
    assert name is not None
    assert count_classes("x", {name: torch.zeros(4, 1024)}, layout) == 3
    for unusable in ({}, {name: torch.zeros(4)}, {name: torch.zeros(1, 1024)}):
        with pytest.raises(
            ModelFileError, match=r"^E123 x holds no usable tensor 'roi_heads\.box_predictor\.cls_score"
        ):
            count_classes("x", unusable, layout)
    assert count_classes("x", {}, RPN) == 1  # a first stage has no tensor of class scores


def test_the_fit_counts_tensors_by_part_and_names_the_others() -> None:
    foreign = {
        "backbone.bottom_up.stem.conv1.weight": torch.zeros(64, 3, 7, 7),
        "proposal_generator.rpn_head.conv.bias": torch.zeros(256),
        "pixel_mean": torch.zeros(3),  # a constant, which our detector takes from its settings
        "head.extra": torch.zeros(1),
    }
    fit = fit_of(foreign, RPN, 1)
    assert {part: found for part, (found, _) in fit.parts.items()} == {"body": 1, "pyramid": 0, "first stage": 1}
    assert (fit.left_over, fit.not_needed) == (("head.extra",), 1)
    assert len(fit.missing) == sum(wanted for _, wanted in fit.parts.values()) - 2


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(2, dtype=torch.int8), "holds int8, not floating-point numbers"),
        (torch.ones(2, device="meta"), "is no dense tensor with values"),
        (torch.tensor([1.0, float("nan")]), "not finite"),
    ],
)
def test_tensors_that_are_no_weights_are_refused(tensor: Tensor, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        refuse_values(Path("x"), {"a": tensor})
