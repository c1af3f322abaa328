"""The tables of names: complete, without loss in either direction, and strict."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor
from torchvision.models import detection

from faster_rcnn.building import build_model
from faster_rcnn.errors import ModelFileError
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.foreign.layouts import classes_of, fit_of, model_from_layout, refuse_values
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS, with_current_names
from faster_rcnn.weights.model_file import stored_tensors

MOBILE = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"
CLASSES = ClassMap(("cat", "dog", "cow"), (1, 2, 3))


@cache
def checkpoint(layout: str) -> dict[str, Tensor]:
    """Three classes and background."""
    build = getattr(detection, layout.removeprefix("torchvision:"))
    state: dict[str, Tensor] = build(weights=None, weights_backbone=None, num_classes=4).state_dict()
    return state


@pytest.mark.parametrize("layout", LAYOUTS)
def test_names_are_complete_in_both_directions(layout: str) -> None:
    foreign, names = with_current_names(checkpoint(layout)), LAYOUTS[layout]
    ours = stored_tensors(build_model(names.config(), 3))
    converted = names.to_ours(foreign)
    assert {name: each.shape for name, each in converted.items()} == {name: each.shape for name, each in ours.items()}
    back = names.to_theirs(converted)
    assert list(back) == list(foreign)
    for name, tensor in foreign.items():
        if "bbox_pred" in name and "roi_heads" in name:  # background's four rows are not kept
            assert not back[name][:4].any()
            back[name], tensor = back[name][4:], tensor[4:]
        assert torch.equal(back[name], tensor), name


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if not name.endswith("_v2")])
def test_names_of_older_checkpoints(layout: str) -> None:
    current = with_current_names(checkpoint(layout))
    older = {}
    for name, tensor in current.items():
        name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.")
        older[name.replace(".0.weight", ".weight").replace(".0.bias", ".bias") if ".fpn." in name else name] = tensor
    assert "backbone.fpn.inner_blocks.0.weight" in older
    assert "rpn.head.conv.bias" in older
    assert list(with_current_names(older)) == list(current)
    fit = fit_of(older, layout, 3)
    assert (fit.missing, fit.left_over, fit.not_needed) == ((), (), 0)


def test_counters_of_batch_norm_may_be_there_or_not() -> None:
    foreign = checkpoint(MOBILE)
    assert any(name.endswith("num_batches_tracked") for name in foreign)
    without = with_current_names(foreign)
    assert not any(name.endswith("num_batches_tracked") for name in without)
    model_from_layout("peer.pth", foreign, MOBILE, CLASSES)
    model_from_layout("peer.pth", without, MOBILE, CLASSES)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("rpn.head.bbox_pred.bias", None, r"1 tensor \('rpn\.head\.bbox_pred\.bias'\) is missing; nothing was loaded"),
        ("roi_heads.mask_head.0.weight", torch.zeros(1), r"1 tensor \('roi_heads\.mask_head\.0\.weight'\) is unknown"),
        ("rpn.head.bbox_pred.bias", torch.zeros(7), r"has the shape \(7,\), the detector needs \(60,\)"),
        ("roi_heads.box_predictor.bbox_pred.bias", torch.zeros(8), r"has the shape \(8,\), the detector needs \(16,\)"),
    ],
)
def test_one_tensor_that_does_not_fit(name: str, tensor: Tensor | None, message: str) -> None:
    foreign = {**checkpoint(MOBILE), name: tensor}
    complete = {each: value for each, value in foreign.items() if value is not None}
    with pytest.raises(ModelFileError, match=f"E123 peer.pth: .*{message}"):
        model_from_layout("peer.pth", complete, MOBILE, CLASSES)


def test_what_is_no_detector_of_torchvision() -> None:
    with pytest.raises(
        ModelFileError, match=r"no usable tensor .*cls_score.*so it is no torchvision:.*; nothing was loaded$"
    ):
        classes_of("yolo.pt", {"model.0.conv.weight": torch.zeros(3)}, MOBILE, None)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.tensor([1.0, torch.nan]), r"1 tensor \('a'\) is not finite \(NaN, or infinite in float32\)"),
        (torch.tensor([-torch.inf]), "is not finite"),
        (torch.tensor([1e300], dtype=torch.float64), "is not finite"),
        (torch.ones(2, dtype=torch.int8), "tensor 'a' holds int8, not floating-point numbers"),
        (torch.ones(2, dtype=torch.complex64), "tensor 'a' holds complex64, not"),
        (torch.ones(2, device="meta"), "tensor 'a' is no dense tensor with values"),
        (torch.ones(2).to_sparse(), "tensor 'a' is no dense tensor with values"),
    ],
)
def test_values_that_are_no_weights(tensor: Tensor, message: str) -> None:
    with pytest.raises(ModelFileError, match=rf"^E123 peer.pth: .*{message}"):
        refuse_values("peer.pth", {"good": torch.ones(2), "a": tensor})
    refuse_values("peer.pth", {"half": torch.ones(2).half(), "double": torch.ones(2).double()})


def test_half_precision_becomes_float32() -> None:
    halves = {name: each.half() if each.is_floating_point() else each for name, each in checkpoint(MOBILE).items()}
    bias = model_from_layout("peer.pth", halves, MOBILE, CLASSES).model.rpn.head.objectness.weight
    assert bias.dtype == torch.float32
    assert torch.equal(bias.detach(), halves["rpn.head.cls_logits.weight"].float())
