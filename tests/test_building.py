"""Settings reach the parts that they are about; settings that contradict each other are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from faster_rcnn.building import build_model, for_inference_with, with_settings
from faster_rcnn.errors import OptionError
from faster_rcnn.ops.losses import BoxLoss
from faster_rcnn.roi.heads import StageHead
from faster_rcnn.roi.pooling import Pooling
from faster_rcnn.roi.targets import RegionSampling
from faster_rcnn.rpn.proposals import ProposalFilter
from faster_rcnn.rpn.targets import AnchorSampling
from tiny import COARSE, random_image, tiny_config, tiny_model

ONE_LEVEL: dict[str, Any] = {"neck": "none", "levels": (2,)}
ONE_LEVEL_OF_ANCHORS: dict[str, Any] = {"anchor_sizes": ((24.0, 48.0, 96.0),)}


def test_settings_of_the_first_stage_reach_it() -> None:
    rpn = tiny_model(
        rpn={
            "positive_iou": 0.6,
            "negative_iou": 0.2,
            "samples_per_image": 100,
            "positive_fraction": 0.4,
            "crossing_anchors": "ignore",
            "box_loss": "giou",
            "box_loss_beta": 0.3,
            "box_loss_weight": 10.0,
            "box_loss_normaliser": "positions",
            "anchor_offset": 0.25,
            "head_channels": 24,
            "head_convs": 2,
            "objectness": "softmax",
        }
    ).rpn
    assert rpn.sampling == AnchorSampling(0.6, 0.2, 100, 0.4, ignore_crossing=True)
    assert rpn.loss == BoxLoss("giou", 0.3, 10.0)
    assert rpn.loss_per_position
    assert rpn.anchors.offset == 0.25
    assert [conv.weight.shape for conv in rpn.head.convs] == [(24, 16, 3, 3), (24, 24, 3, 3)]
    assert rpn.head.objectness.weight.shape == (6, 24, 1, 1)


def test_the_first_stage_runs_from_the_first_level_with_anchors_on() -> None:
    rpn = tiny_model(rpn={"anchor_sizes": COARSE}).rpn
    assert (rpn.anchors.skipped, rpn.head.skipped) == (1, 1)
    assert rpn.head.objectness.weight.shape == (6, 16, 1, 1)


def test_the_finest_levels_of_the_pyramid_may_be_plain() -> None:
    pyramid = tiny_model(backbone={"pyramid_plain": 2}).backbone.pyramid
    assert pyramid is not None
    assert [isinstance(each, nn.Identity) for each in pyramid.output] == [True, True, False, False]


def test_settings_of_the_proposals_reach_training_and_inference() -> None:
    model = tiny_model(
        rpn={
            "proposals_before_nms_training": 90,
            "proposals_after_nms_training": 70,
            "proposals_before_nms": 50,
            "proposals_after_nms": 30,
            "nms_iou": 0.65,
            "min_side": 2.0,
            "score_floor": 0.01,
        }
    )
    assert model.training_filter == ProposalFilter(90, 70, 0.65, 2.0, 0.01)
    assert model.inference_filter == ProposalFilter(50, 30, 0.65, 2.0, 0.01)


def test_settings_of_inference_reach_another_detector_with_the_same_weights() -> None:
    torch.manual_seed(0)
    model = build_model(tiny_config(), 3, holes=(1,)).eval()
    before = model.preparation, model.inference_filter, model.roi.detection_filter
    config = tiny_config(
        image={"short_side": 96},
        rpn={
            "proposals_before_nms": 50,
            "proposals_after_nms": 30,
            "nms_iou": 0.65,
            "min_side": 2,
            "score_floor": 0.01,
        },
        roi={"score_floor": 0.1, "min_side": 3.0, "nms_iou": 0.6, "max_detections": 9},
    )
    other = for_inference_with(config, model)
    assert other.preparation.image.short_side == 96
    assert other.inference_filter == ProposalFilter(50, 30, 0.65, 2.0, 0.01)
    rule = other.roi.detection_filter
    assert (rule.score_floor, rule.min_side, rule.nms_iou, rule.max_detections, rule.holes) == (0.1, 3.0, 0.6, 9, (1,))
    assert not other.training
    assert (model.preparation, model.inference_filter, model.roi.detection_filter) == before
    assert {id(each) for each in other.parameters()} == {id(each) for each in model.parameters()}
    # The same as a detector that is built with these settings and given the weights.
    built = build_model(config, 3, holes=(1,)).eval()
    built.load_state_dict(model.state_dict())
    [found], [expected] = (each.detect([random_image(40, 60)]) for each in (other, built))
    assert torch.equal(found.boxes, expected.boxes)
    assert len(found) == 9


def test_settings_of_one_kind_leave_the_others_as_they_are() -> None:
    model = tiny_model()
    other = with_settings(model, detection_filter=replace(model.roi.detection_filter, nms_iou=0.6))
    assert (other.preparation, other.inference_filter) == (model.preparation, model.inference_filter)
    assert (other.roi.detection_filter.nms_iou, model.roi.detection_filter.nms_iou) == (0.6, 0.5)
    assert other.training


def test_settings_of_the_second_stage_reach_it() -> None:
    weights = (4.0, 3.0, 2.0, 1.0)
    roi = tiny_model(
        roi={
            "pooling": "aligned-align",
            "pooled_side": 5,
            "sampling_ratio": 0,
            "canonical_size": 100.0,
            "positive_iou": 0.6,
            "negative_iou": 0.4,
            "negative_iou_from": 0.1,
            "positive_fraction": 0.3,
            "delta_weights": weights,
            "box_loss": "ciou",
            "box_loss_beta": 0.3,
            "box_loss_weight": 2.0,
            "class_agnostic": True,
            "dropout": 0.3,
        }
    ).roi
    # The coarsest level of the pyramid is there for anchors alone.
    assert roi.pooling == Pooling("aligned-align", 5, 0, 100.0, (4, 8, 16, 32))
    assert roi.sampling == RegionSampling(0.6, 0.4, 64, 0.3, weights, negative_iou_from=0.1)
    assert roi.loss == BoxLoss("ciou", 0.3, 2.0, weights)
    assert roi.deltas.weight.shape == (4, 32)
    assert isinstance(roi.head.dropout, nn.Dropout)
    assert roi.head.dropout.p == 0.3


def test_regions_read_the_one_level_that_there_is() -> None:
    model = tiny_model(backbone=ONE_LEVEL, rpn=ONE_LEVEL_OF_ANCHORS)
    assert model.backbone.strides == model.roi.pooling.strides == (8,)


def test_the_last_stage_has_as_many_outputs_as_the_stage() -> None:
    model = tiny_model(backbone=ONE_LEVEL, rpn=ONE_LEVEL_OF_ANCHORS, roi={"head": "last_stage"})
    assert isinstance(model.roi.head, StageHead)
    assert model.roi.classes.weight.shape[1] == model.roi.head.outputs
    assert all(name.startswith("stage.") for name in model.roi.head.state_dict())


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"roi": {"head": "last_stage"}}, r"roi\.head=last_stage .* needs backbone\.neck=none"),
        ({"backbone": {"neck": "none"}}, r"neck=none takes one of the body's levels; .* is \(1, 2, 3, 4\)"),
        ({"backbone": ONE_LEVEL}, r"rpn\.anchor_sizes has \[1, 1, 1, 1, 1\] sizes .* has 1 levels \(strides \(8,\)\)"),
        (
            {"rpn": {"anchor_sizes": ((8,), (16, 24), (32,), (64,), (128,))}},
            r"make \[3, 6, 3, 3, 3\] anchors per position",
        ),
        ({"rpn": {"anchor_sizes": ((), (16,), (), (64,), (128,))}}, r"\[0, 3, 0, 3, 3\] .* the finest levels may have"),
        ({"rpn": {"anchor_sizes": ((),) * 5}}, r"make \[0, 0, 0, 0, 0\] anchors per position"),
        (
            {"rpn": {"anchor_heights_over_widths": ((1.0,), (1.0, 2.0))}},
            r"anchor_heights_over_widths has lists for 2 levels; the backbone has 5",
        ),
        (
            {"rpn": {"anchor_heights_over_widths": ((1.0,), (1.0, 2.0), (1.0,), (1.0,), (1.0,))}},
            r"make \[1, 2, 1, 1, 1\] anchors per position",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        build_model(tiny_config(**sections), 2)


def test_levels_may_trade_sizes_for_ratios() -> None:
    rpn = tiny_model(
        rpn={
            "anchor_sizes": ((8, 12), (16,), (32,), (64,), (128,)),
            "anchor_heights_over_widths": ((1.0,), (0.5, 2.0), (0.5, 2.0), (0.5, 2.0), (0.5, 2.0)),
        }
    ).rpn
    assert [len(base) for base in rpn.anchors.base] == [2] * 5
