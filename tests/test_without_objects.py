"""Every stage with nothing in it: no truth, no anchor, no proposal, no detection, hardly any image.

Each stage's own test has its empty case; here nothing flows through all of them, one after the other.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from faster_rcnn.images import rescale_boxes
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.assignment import match, sample
from faster_rcnn.ops.boxes import clip, iou
from faster_rcnn.ops.deltas import decode, encode
from faster_rcnn.ops.nms import nms, nms_per_group
from faster_rcnn.roi.detections import select_detections
from faster_rcnn.roi.targets import RegionSampling, roi_targets
from faster_rcnn.rpn.proposals import ProposalFilter, select_proposals
from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.structures import Detections, GroundTruth, ImageSize, Proposals
from tiny import anchors_of, boxes_of, decided_model, random_image, tiny_model, training_batch, truth_of

SIZE = ImageSize(64, 96)
IMAGES = [random_image(64, 96, 1), random_image(64, 96, 2)]
NONE = truth_of([])
IGNORED = truth_of([[0, 0, 96, 64]], ignored=[True])
OBJECT = truth_of([[10, 10, 60, 50]], labels=[1])
NOTHING_SCORES_THAT = {"score_floor": 0.9999}
"""Of a new model every objectness is near 1/2, so that no proposal passes."""


def assert_empty(found: Detections) -> None:
    assert len(found) == 0
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert (found.boxes.dtype, found.labels.dtype) == (torch.float32, torch.int64)


def gradients(model: FasterRCNN, truths: list[GroundTruth]) -> dict[str, Tensor]:
    model.zero_grad()
    model(training_batch(IMAGES, truths, [1, 2])).total.backward()
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def test_nothing_flows_through_every_stage() -> None:
    model = tiny_model(3)
    anchors = anchors_of([], [])
    matches = match(anchors.boxes, NONE, positive_iou=0.7, negative_iou=0.3, best_of_truth=True)
    assert len(sample(matches, size=256, positive_fraction=0.5, seed=0).indices) == 0
    assert len(rpn_targets(anchors, NONE, AnchorSampling(0.7, 0.3, 256, 0.5), seed=0).indices) == 0
    rule = ProposalFilter(before_nms=1000, after_nms=300, nms_iou=0.7, min_side=0.001, score_floor=0.0)
    proposals = select_proposals(torch.zeros(0, 1), torch.zeros(0, 4), anchors, SIZE, rule)
    assert proposals.boxes.shape == (0, 4)
    sampling = RegionSampling(0.5, 0.5, 64, 0.25, (10.0, 10.0, 5.0, 5.0))
    assert len(roi_targets(proposals, NONE, sampling, 3, seed=0).boxes) == 0
    features = model.backbone(torch.zeros(1, 3, 64, 96))
    output = model.roi(features, [proposals.boxes])
    logits, deltas = output.logits, output.deltas
    assert (logits.shape, deltas.shape) == ((0, 4), (0, 3, 4))
    found = select_detections(logits, deltas, proposals, SIZE, model.roi.detection_filter)
    assert_empty(found)
    assert rescale_boxes(found.boxes, SIZE, ImageSize(1, 1)).shape == (0, 4)


def test_box_arithmetic_on_nothing() -> None:
    none, no_scores = boxes_of([]), torch.zeros(0)
    assert iou(none, none).shape == (0, 0)
    assert clip(none, SIZE).shape == encode(none, none).shape == decode(none, none).shape == (0, 4)
    assert nms(none, no_scores, 0.5).shape == nms_per_group(none, no_scores, no_scores.long(), 0.5).shape == (0,)


@pytest.mark.parametrize("truths", [[NONE, NONE], [IGNORED, IGNORED], [NONE, IGNORED], [OBJECT, NONE]])
@pytest.mark.parametrize("rpn", [{}, NOTHING_SCORES_THAT])
def test_training_without_truths_or_proposals_reaches_the_usual_parameters(
    truths: list[GroundTruth], rpn: dict[str, Any]
) -> None:
    usual = gradients(tiny_model(3), [OBJECT, OBJECT])
    found = gradients(tiny_model(3, rpn=rpn), truths)
    assert found.keys() == usual.keys()
    assert all(bool(torch.isfinite(each).all()) for each in found.values())


def test_everything_ignored_teaches_nothing() -> None:
    model = tiny_model(3)
    losses = model(training_batch(IMAGES, [IGNORED, IGNORED], [1, 2]))
    # Anchors that reach out of the image by half are not inside the ignored region: they remain negatives.
    assert (
        float(losses.roi_class.mean.detach())
        == float(losses.roi_box.mean.detach())
        == float(losses.rpn_box.mean.detach())
        == 0
    )
    wide = truth_of([[-1000, -1000, 1000, 1000]], ignored=[True])
    assert float(model(training_batch(IMAGES, [wide, wide], [1, 2])).total.detach()) == 0


def test_a_head_with_batch_norm_survives_a_step_without_regions() -> None:
    model = tiny_model(3, rpn=NOTHING_SCORES_THAT, roi={"head_convs": (8,)})
    found = gradients(model, [NONE, NONE])
    assert all(bool(torch.isfinite(each).all()) for each in found.values())
    for name, value in model.state_dict().items():
        assert bool(torch.isfinite(value).all()), name


def test_detection_without_proposals() -> None:
    for found in tiny_model(3, rpn=NOTHING_SCORES_THAT).detect(IMAGES):
        assert_empty(found)


def test_detection_above_no_score() -> None:
    for found in tiny_model(3, roi={"score_floor": 0.999}).detect(IMAGES):
        assert_empty(found)


def test_validation_without_truths_and_without_detections() -> None:
    losses, found = tiny_model(3, rpn=NOTHING_SCORES_THAT).validate(training_batch(IMAGES, [NONE, NONE], [1, 2]))
    assert bool(torch.isfinite(losses.total))
    for each in found:
        assert_empty(each)


def test_no_images() -> None:
    assert tiny_model(3).detect([]) == []


@pytest.mark.parametrize("value", [0, 255])
def test_an_image_of_one_colour(value: int) -> None:
    found = decided_model(3).detect([torch.full((3, 64, 96), value, dtype=torch.uint8)])[0]
    assert bool(torch.isfinite(found.boxes).all() & torch.isfinite(found.scores).all())


def test_no_detections_above_a_score_are_no_detections() -> None:
    assert_empty(Detections(boxes_of([]), torch.zeros(0), torch.zeros(0).long()).above(0.5))
    assert_empty(tiny_model(3).detect(IMAGES)[0].above(1.1))


def test_a_proposal_of_no_size_is_read_as_one_feature() -> None:
    model = tiny_model(3).eval()
    features = model.backbone(torch.rand(1, 3, 64, 96))
    point = Proposals(boxes_of([[5, 5, 5, 5]]), torch.zeros(1))
    logits = model.roi(features, [point.boxes]).logits
    assert bool(torch.isfinite(logits).all())
