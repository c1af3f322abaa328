"""Every box knows the box it was made from: detection to proposal to anchor, through filters, rescaling and tiles."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.images import rescale_boxes
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.tiles import Tile
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.boxes import clip
from faster_rcnn.ops.deltas import decode
from faster_rcnn.preparation import Group
from faster_rcnn.stages import DETECTIONS, FEATURES, PROPOSALS, ROI_OUTPUT, RPN_OUTPUT, until
from faster_rcnn.structures import Detections, ImageSize, Proposals, RoiOutput
from tiny import boxes_of, decided_model, random_image

SIZE = ImageSize(100, 150)


def group_of(model: FasterRCNN, image: Tensor) -> Group:
    [group] = model.preparation.groups([image])
    return group


def boxes_again(
    model: FasterRCNN, proposals: Proposals, output: RoiOutput, found: Detections, size: ImageSize
) -> Tensor:
    """The boxes of detections, computed anew from their proposals."""
    assert found.proposals is not None
    deltas = output.deltas[found.proposals, found.labels]
    return clip(decode(deltas, proposals.boxes[found.proposals], model.roi.detection_filter.delta_weights), size)


@torch.no_grad()
def test_a_box_is_its_anchor_moved_twice() -> None:
    model, image = decided_model(rpn={"proposals_before_nms": 40, "proposals_after_nms": 30}), random_image(*SIZE)
    group = group_of(model, image)
    [size] = group.images.sizes
    stages = model.stages(group.images)
    features, rpn = until(stages, FEATURES), until(stages, RPN_OUTPUT)
    [proposals], output, [found] = until(stages, PROPOSALS), until(stages, ROI_OUTPUT), until(stages, DETECTIONS)
    anchors = model.rpn.anchors(features, group.images)
    assert proposals.anchors is not None
    assert proposals.anchors.dtype == torch.int64
    assert len(proposals.boxes) == 30
    own = rpn.deltas[0, proposals.anchors], anchors.boxes[proposals.anchors]
    assert torch.equal(proposals.boxes, clip(decode(*own), size))
    assert_close(proposals.scores, rpn.logits[0, proposals.anchors, 0].sigmoid())
    assert len(found) > 10
    assert torch.equal(found.boxes, boxes_again(model, proposals, output, found, size))
    assert_close(found.scores, output.logits.softmax(dim=1)[found.proposals, found.labels])


@torch.no_grad()
def test_detect_and_propose_keep_the_origins() -> None:
    model, image = decided_model(), random_image(*SIZE)
    group = group_of(model, image)
    [found], [proposals] = model.detect([image]), model.propose([image])
    stages = model.stages(group.images)
    [resized], output = until(stages, PROPOSALS), until(stages, ROI_OUTPUT)
    assert resized.anchors is not None
    assert proposals.anchors is not None
    assert torch.equal(proposals.anchors, resized.anchors)
    own = boxes_again(model, resized, output, found, group.images.sizes[0])
    assert_close(found.boxes, rescale_boxes(own, group.images.sizes[0], SIZE))


@torch.no_grad()
def test_detections_on_external_proposals_refer_to_their_list() -> None:
    model, image = decided_model(), random_image(*SIZE)
    given = Proposals(boxes_of([[0, 0, 50, 40], [60, 20, 140, 90], [10, 30, 90, 95]]), torch.tensor([0.9, 0.8, 0.7]))
    [found] = model.detect([image], [given])
    assert found.proposals is not None
    group = group_of(model, image)
    stages = model.stages(group.images, group.proposals([given]))
    [resized], output = until(stages, PROPOSALS), until(stages, ROI_OUTPUT)
    assert resized.anchors is None
    assert set(found.proposals.tolist()) <= {0, 1, 2}
    own = boxes_again(model, resized, output, found, group.images.sizes[0])
    assert_close(found.boxes, rescale_boxes(own, group.images.sizes[0], SIZE))


@torch.no_grad()
def test_the_detections_of_a_first_stage_alone_are_its_proposals_in_order() -> None:
    proposals = Proposals(boxes_of([[0, 0, 9, 9], [1, 1, 5, 5]]), torch.tensor([0.9, 0.3]), torch.tensor([7, 2]))
    found = Detections.of_objects(proposals)
    assert found.proposals is not None
    assert found.proposals.tolist() == [0, 1]
    assert found.labels.tolist() == [0, 0]


@torch.no_grad()
def test_merged_detections_know_their_part_and_its_proposal() -> None:
    model, image = decided_model(), random_image(100, 150)
    tiles = [Tile(0, 0, 150, 100), Tile(0, 0, 80, 80), Tile(70, 0, 150, 80), Tile(70, 20, 150, 100)]
    parts = []
    for tile in tiles:
        [found] = model.detect([tile.of(image)])
        shifted = found.boxes + torch.tensor([tile.x1, tile.y1, tile.x1, tile.y1])
        parts.append((tile, Detections(shifted, found.scores, found.labels, found.proposals)))
    merged = merge(parts, SIZE, 0.5)
    assert merged.parts is not None
    assert merged.proposals is not None
    assert set(merged.parts.tolist()) > {0}
    equal = 0
    for index in range(len(merged)):
        _, source = parts[int(merged.parts[index])]
        assert source.proposals is not None
        mine = (source.proposals == merged.proposals[index]) & (source.labels == merged.labels[index])
        assert int(mine.sum()) == 1  # a proposal gives one candidate for each class
        assert_close(source.scores[mine][0], merged.scores[index])
        equal += torch.equal(source.boxes[mine][0], merged.boxes[index])
    # The others were joined from pieces.
    assert equal > len(merged) / 2


def test_joined_pieces_have_the_origin_of_the_best_piece() -> None:
    size, label = ImageSize(100, 180), torch.tensor([1])
    left = Detections(boxes_of([[20, 10, 100, 60]]), torch.tensor([0.6]), label, torch.tensor([4]))
    right = Detections(boxes_of([[80, 10, 150, 60]]), torch.tensor([0.8]), label, torch.tensor([9]))
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), label[:0], label[:0])
    parts = [(Tile(0, 0, 180, 100), nothing), (Tile(0, 0, 100, 100), left), (Tile(80, 0, 180, 100), right)]
    merged = merge(parts, size, 0.5)
    assert_close(merged.boxes, boxes_of([[20, 10, 150, 60]]))
    assert merged.parts is not None
    assert merged.proposals is not None
    assert (merged.parts.tolist(), merged.proposals.tolist()) == ([2], [9])


def test_rows_are_selected_from_every_field() -> None:
    found = Detections(boxes_of([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]]), torch.tensor([0.9, 0.5, 0.1]),
                       torch.tensor([2, 0, 1]), torch.tensor([5, 6, 7]))  # fmt: skip
    for rows in (slice(1, 3), torch.tensor([1, 2]), torch.tensor([False, True, True])):
        some = found[rows]
        assert some.proposals is not None
        assert (some.labels.tolist(), some.proposals.tolist(), some.parts) == ([0, 1], [6, 7], None)
    best = found.above(0.2)
    assert best.proposals is not None
    assert best.proposals.tolist() == [5, 6]
