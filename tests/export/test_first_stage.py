"""A fixed number of places holds the proposals of the detector."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from faster_rcnn.export.first_stage import Level, padded_proposals
from faster_rcnn.export.suppression import IN_TORCH
from faster_rcnn.rpn.proposals import ProposalFilter, select_of_images
from faster_rcnn.structures import Anchors, ImageSize, RpnOutput


def levels_of(output: RpnOutput, anchors: Anchors) -> list[Level]:
    parts = zip(
        output.logits.split(anchors.per_level, dim=1),
        output.deltas.split(anchors.per_level, dim=1),
        anchors.boxes.split(anchors.per_level),
        strict=True,
    )
    return [Level(RpnOutput(logits, deltas), boxes) for logits, deltas, boxes in parts]


def test_the_places_hold_the_proposals_of_each_image_and_zeros() -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(50, 2, generator=generator) * 60
    anchors = Anchors(torch.cat((corners, corners + 20), dim=1), (40, 10))
    output = RpnOutput(torch.randn(2, 50, 1, generator=generator), torch.randn(2, 50, 4, generator=generator) * 0.1)
    rule = ProposalFilter(before_nms=30, after_nms=45, nms_iou=0.5, min_side=1.0, score_floor=0.2)
    expected = select_of_images(output.logits, output.deltas, anchors, [ImageSize(60, 70)] * 2, rule)
    found = padded_proposals(levels_of(output, anchors), torch.tensor([[70.0, 60.0, 70.0, 60.0]]), rule, IN_TORCH)
    assert found.boxes.shape == (2, 45, 4)
    for boxes, exist, proposals in zip(found.boxes, found.exist, expected, strict=True):
        count = len(proposals.boxes)
        assert 0 < count < 45
        assert exist.tolist() == [True] * count + [False] * (45 - count)
        assert_close(boxes[:count], proposals.boxes)
        assert not boxes[count:].any()


def test_no_anchor_good_enough_gives_no_proposal() -> None:
    anchors = Anchors(torch.tensor([[0.0, 0.0, 9.0, 9.0]]), (1,))
    rule = ProposalFilter(before_nms=5, after_nms=3, nms_iou=0.5, min_side=1.0, score_floor=0.9)
    output = RpnOutput(torch.zeros(1, 1, 1), torch.zeros(1, 1, 4))
    found = padded_proposals(levels_of(output, anchors), torch.tensor([[20.0, 20.0, 20.0, 20.0]]), rule, IN_TORCH)
    assert not found.exist.any()
    assert not found.boxes.any()
