"""From scores and deltas of anchors to proposals (section 3.3)."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.kernels import candidates
from faster_rcnn.ops import nms as ops_nms
from faster_rcnn.ops.nms import nms
from faster_rcnn.rpn.proposals import ProposalFilter, select_proposals
from faster_rcnn.structures import Anchors, ImageSize, Proposals
from tiny import anchors_of, boxes_of

RULE = ProposalFilter(before_nms=100, after_nms=100, nms_iou=0.7, min_side=1.0, score_floor=0.0)
SIZE = ImageSize(height=100, width=200)
APART = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]]


def select(anchors: Anchors, logits: list[float], rule: ProposalFilter, deltas: Tensor | None = None) -> Proposals:
    moved = torch.zeros(len(logits), 4) if deltas is None else deltas
    return select_proposals(torch.tensor(logits).reshape(-1, 1), moved, anchors, SIZE, rule)


def test_scores_of_one_logit_and_of_two() -> None:
    # sigmoid(log 3) = 3 / 4 = softmax of (log 1, log 3) at the second place, the object.
    for logits in ([[math.log(3)]], [[0.0, math.log(3)]], [[-math.log(3), 0.0]]):
        found = select_proposals(torch.tensor(logits), torch.zeros(1, 4), anchors_of(APART[:1]), SIZE, RULE)
        assert_close(found.scores, torch.tensor([0.75]))


def test_two_logits_are_ranked_by_their_difference() -> None:
    # Object by e^(5 - 9), e^(1 - 0) and e^(0 - (-3)) against one: the third is best although its own logit is least.
    logits = torch.tensor([[9.0, 5.0], [0.0, 1.0], [-3.0, 0.0]])
    found = select_proposals(logits, torch.zeros(3, 4), anchors_of(APART[:3]), SIZE, RULE)
    assert_close(found.boxes, boxes_of([APART[2], APART[1], APART[0]]))
    assert_close(found.scores, torch.tensor([3.0, 1.0, -4.0]).sigmoid())


def test_best_first_and_moved_by_the_deltas() -> None:
    deltas = torch.tensor([[0.0] * 4, [0.5, 1.0, 0.0, math.log(2)]])
    found = select(anchors_of(APART[:2]), [0.0, math.log(3)], RULE, deltas)
    # The second: centre 25 + 0.5 * 10 = 30, 5 + 10 = 15; 10 wide, 20 high.
    assert_close(found.boxes, boxes_of([[25, 5, 35, 25], [0, 0, 10, 10]]))
    assert_close(found.scores, torch.tensor([0.75, 0.5]))


def test_clipped_to_the_size_of_the_image_not_of_the_batch() -> None:
    found = select(anchors_of([[-30, -5, 10, 10], [190, 90, 260, 300]]), [1.0, 0.0], RULE)
    assert_close(found.boxes, boxes_of([[0, 0, 10, 10], [190, 90, 200, 100]]))


def test_what_lies_outside_or_is_tiny_is_dropped() -> None:
    found = select(anchors_of([[300, 0, 320, 10], [0, 0, 0.5, 50], [0, 0, 1, 1]]), [3.0, 2.0, 1.0], RULE)
    assert_close(found.boxes, boxes_of([[0, 0, 1, 1]]))


def test_the_number_before_nms_is_per_level_and_taken_by_score() -> None:
    levels = anchors_of(APART[:3], APART[3:])
    found = select(levels, [1.0, 3.0, 2.0, -5.0], replace(RULE, before_nms=2))
    # Of the first level the second and third; of the second level its only one, although it scores worst.
    assert_close(found.boxes, boxes_of([APART[1], APART[2], APART[3]]))


def test_the_number_after_nms_is_of_all_levels_together() -> None:
    levels = anchors_of(APART[:2], APART[2:])
    found = select(levels, [4.0, 3.0, 2.0, 5.0], replace(RULE, after_nms=2))
    assert_close(found.boxes, boxes_of([APART[3], APART[0]]))


def test_nms_removes_duplicates_within_a_level_but_not_across_levels() -> None:
    duplicate = [0, 0, 10, 9]  # IoU 0.9
    within = select(anchors_of([APART[0], duplicate]), [2.0, 1.0], RULE)
    across = select(anchors_of([APART[0]], [duplicate]), [2.0, 1.0], RULE)
    assert_close(within.boxes, boxes_of([APART[0]]))
    assert_close(across.boxes, boxes_of([APART[0], duplicate]))


def test_nms_compares_clipped_boxes() -> None:
    # Inside the image both are (190, 0, 200, 10); before clipping their overlap is 100 / 1000.
    found = select(anchors_of([[190, 0, 200, 10], [190, 0, 290, 10]]), [2.0, 1.0], RULE)
    assert len(found.boxes) == 1


def test_the_score_floor_itself_stays() -> None:
    found = select(anchors_of(APART[:3]), [0.1, 0.0, -0.1], replace(RULE, score_floor=0.5))
    assert_close(found.boxes, boxes_of(APART[:2]))


@pytest.mark.parametrize("levels", [(), ([],), ([], [])])
def test_no_anchors_give_no_proposals(levels: tuple[list[list[float]], ...]) -> None:
    found = select_proposals(torch.zeros(0, 1), torch.zeros(0, 4), anchors_of(*levels, []), SIZE, RULE)
    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))


def test_nothing_above_the_floor_gives_no_proposals() -> None:
    found = select(anchors_of(APART), [0.0] * 4, replace(RULE, score_floor=0.9))
    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))


def test_equal_scores_keep_the_order_of_levels() -> None:
    found = select(anchors_of(APART[:1], APART[1:2], APART[2:3]), [1.0, 1.0, 1.0], RULE)
    assert_close(found.boxes, boxes_of(APART[:3]))


@pytest.mark.parametrize("after_nms", [1, 3, 10, 40, 1000])
@pytest.mark.parametrize("side", [20, 200, 2000])
def test_the_top_candidates_give_the_proposals_of_all_candidates(
    after_nms: int, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crowded, where hardly a box remains, and sparse, where nearly all do; with equal scores among them."""
    generator = torch.Generator().manual_seed(side)
    counts = (120, 60, 7, 0)
    corners = torch.rand(sum(counts), 2, generator=generator) * side
    anchors = Anchors(torch.cat((corners, corners + 15), dim=1), counts)
    logits = torch.randn(sum(counts), 1, generator=generator).mul(4).round() / 2
    deltas = 0.1 * torch.randn(sum(counts), 4, generator=generator)
    rule = ProposalFilter(before_nms=100, after_nms=after_nms, nms_iou=0.5, min_side=1e-3, score_floor=0.0)
    compared: list[int] = []

    def counting(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
        compared.append(len(boxes))
        return nms(boxes, scores, iou_threshold)

    monkeypatch.setattr(ops_nms, "nms", counting)
    found = select_proposals(logits, deltas, anchors, ImageSize(side + 15, side + 15), rule)
    with_sets = sum(compared)
    monkeypatch.setattr(candidates, "CANDIDATES_PER_RESULT", ())
    compared.clear()
    expected = select_proposals(logits, deltas, anchors, ImageSize(side + 15, side + 15), rule)
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)
    assert len(found.boxes) == min(after_nms, len(expected.boxes))
    if after_nms <= 3:
        assert with_sets < sum(compared)  # NMS compares fewer boxes
