"""A fixed number of places holds the detections of the detector; pooling reads each proposal's own level."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from faster_rcnn.export.first_stage import PaddedProposals
from faster_rcnn.export.second_stage import NO_LABEL, candidates_of, padded_detections, pooled_features
from faster_rcnn.export.suppression import IN_TORCH
from faster_rcnn.roi.detections import DetectionFilter, select_of_images
from faster_rcnn.roi.pooling import Pooling, pool_regions
from faster_rcnn.structures import ImageSize, Proposals, RoiOutput

LIMITS = torch.tensor([[70.0, 60.0, 70.0, 60.0]])
WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def proposals_of(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(2, count, 2, generator=generator) * 40
    return torch.cat((corners, corners + 5 + torch.rand(2, count, 2, generator=generator) * 30), dim=2)


def test_the_places_hold_the_detections_of_each_image() -> None:
    generator = torch.Generator().manual_seed(1)
    boxes = proposals_of(12)
    output = RoiOutput(torch.randn(24, 4, generator=generator) * 2, torch.randn(24, 3, 4, generator=generator))
    rule = DetectionFilter(0.1, 1.0, 0.4, 40, WEIGHTS, holes=(1,))
    given = [Proposals(each, torch.ones(12)) for each in boxes]
    expected = select_of_images(output.logits, output.deltas, given, [ImageSize(60, 70)] * 2, rule)
    candidates = candidates_of(output, PaddedProposals(boxes, torch.ones(2, 12, dtype=torch.bool)), LIMITS, rule)
    found = padded_detections(candidates, rule, IN_TORCH)
    assert found.num.tolist() == [len(each) for each in expected]
    assert int(found.num.min()) > 0
    for image, detections in enumerate(expected):
        count = len(detections)
        assert_close(found.boxes[image, :count], detections.boxes)
        assert_close(found.scores[image, :count], detections.scores)
        assert torch.equal(found.labels[image, :count], detections.labels)
        assert set(found.labels[image, count:].tolist()) == {NO_LABEL}
        assert not found.boxes[image, count:].any()
        assert not found.scores[image, count:].any()
    assert 1 not in found.labels  # a hole is never reported


def test_without_proposals_num_is_zero() -> None:
    rule = DetectionFilter(0.1, 1.0, 0.4, 5, WEIGHTS)
    nothing = PaddedProposals(torch.zeros(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool))
    output = RoiOutput(torch.zeros(3, 4), torch.zeros(3, 3, 4))
    found = padded_detections(candidates_of(output, nothing, LIMITS, rule), rule, IN_TORCH)
    assert found.num.tolist() == [0]
    assert found.labels.tolist() == [[NO_LABEL] * 5]


def test_each_proposal_is_pooled_from_its_level() -> None:
    features = [torch.randn(2, 4, 16, 18), torch.randn(2, 4, 8, 9)]
    boxes = torch.tensor([[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 60.0, 50.0]], [[5.0, 5.0, 64.0, 60.0], [0.0] * 4]])
    rule = Pooling("align", 3, 2, 100.0, (4, 8))
    expected = pool_regions(features, list(boxes), rule)
    assert_close(pooled_features(features, boxes, rule), expected)
