"""NMS by hand and against two nested loops."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from faster_rcnn.ops.boxes import iou
from faster_rcnn.ops.nms import nms, nms_per_group, survivors_of_groups, survivors_of_levels
from tiny import boxes_of, integer_boxes


def slow_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> list[int]:
    """Keep the best box, remove those of its group that it overlaps too much, and so on; integers need no rounding."""
    overlaps = iou(boxes.double(), boxes.double())
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        rivals = [other for other in kept if groups[other] == groups[index]]
        if all(float(overlaps[index, other]) <= iou_threshold for other in rivals):
            kept.append(index)
    return kept


@st.composite
def crowded_boxes(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    boxes = draw(integer_boxes(most=12, side=8))
    order = draw(st.permutations(range(len(boxes))))
    groups = draw(st.lists(st.integers(0, 2), min_size=len(boxes), max_size=len(boxes)))
    return boxes, (torch.tensor(order).float() + 1) / 20, torch.tensor(groups, dtype=torch.int64)


def test_the_best_box_and_a_neighbour_survive_and_a_duplicate_is_removed() -> None:
    boxes = boxes_of([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]])
    # The second covers 90 / 100 of the first and scores higher, so the first goes; best first.
    assert nms(boxes, torch.tensor([0.8, 0.9, 0.85]), 0.7).tolist() == [1, 2]


def test_a_box_with_an_iou_of_exactly_the_threshold_survives() -> None:
    # 5 x 10 of 10 x 10: the overlap is 1/2, which float32 holds exactly.
    boxes, scores = boxes_of([[0, 0, 10, 10], [0, 0, 10, 5]]), torch.tensor([0.9, 0.8])
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.49).tolist() == [0]


def test_a_removed_box_removes_no_other() -> None:
    # Each overlaps the next by 7 / 13 = 0.54, the first and the last by 4 / 16 = 0.25.
    boxes = boxes_of([[0, 0, 10, 1], [3, 0, 13, 1], [6, 0, 16, 1]])
    assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5).tolist() == [0, 2]


def test_groups_do_not_compete() -> None:
    boxes = boxes_of([[0, 0, 10, 10]] * 4)
    kept = nms_per_group(boxes, torch.tensor([0.6, 0.9, 0.8, 0.7]), torch.tensor([5, 0, 5, 0]), 0.5)
    assert kept.tolist() == [1, 2]


def test_no_boxes() -> None:
    none = torch.zeros(0)
    assert nms(boxes_of([]), none, 0.5).tolist() == []
    assert nms_per_group(boxes_of([]), none, none.long(), 0.5).tolist() == []


def test_boxes_outside_the_image_stay_in_their_group() -> None:
    # Moved by the largest corner + 1 = 11 pixels only, the second would lie exactly on the first.
    boxes = boxes_of([[0, 0, 10, 10], [-11, -11, -1, -1]])
    assert nms_per_group(boxes, torch.tensor([0.9, 0.8]), torch.tensor([0, 1]), 0.1).tolist() == [0, 1]


@settings(deadline=None, max_examples=80)
@given(crowded_boxes(), st.sampled_from((0.0, 0.3, 0.5, 0.7)))
def test_nms_equals_two_nested_loops(case: tuple[Tensor, Tensor, Tensor], iou_threshold: float) -> None:
    boxes, scores, groups = case
    together = torch.zeros_like(groups)
    assert nms(boxes.double(), scores.double(), iou_threshold).tolist() == slow_nms(
        boxes, scores, together, iou_threshold
    )
    assert nms_per_group(boxes, scores, groups, iou_threshold).tolist() == slow_nms(
        boxes, scores, groups, iou_threshold
    )


@settings(deadline=None, max_examples=40)
@given(crowded_boxes())
def test_the_survivors_of_a_group_do_not_depend_on_other_groups(case: tuple[Tensor, Tensor, Tensor]) -> None:
    boxes, scores, groups = case
    kept = set(nms_per_group(boxes, scores, groups, 0.5).tolist())
    for group in groups.unique():
        own = torch.nonzero(groups == group)[:, 0]
        alone = {int(own[index]) for index in nms(boxes[own].double(), scores[own].double(), 0.5)}
        assert alone == kept & set(own.tolist())


def test_a_threshold_of_one_keeps_all_boxes_in_the_order_of_their_scores() -> None:
    boxes = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 4.0, 4.0], [1.0, 0.0, 5.0, 4.0]])
    scores = torch.tensor([0.5, 0.5, 0.9])
    assert nms(boxes, scores, 1.0).tolist() == [2, 0, 1]
    assert nms_per_group(boxes, scores, torch.zeros(3, dtype=torch.int64), 1.0).tolist() == [2, 0, 1]
    assert torchvision_nms(boxes, scores, 1.0).tolist() == [2, 0, 1]  # torchvision's own, with all its comparisons


def test_survivors_of_levels_are_those_of_all_levels_best_first() -> None:
    # Level 0: the second is a duplicate of the first. Level 1: a duplicate of the first again, which does not compete
    # with it. The last is not fit.
    boxes = boxes_of([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    scores, fit = torch.tensor([0.7, 0.6, 0.9, 0.5, 1.0]), torch.tensor([True] * 4 + [False])
    for limit, expected in ((9, [2, 0, 3]), (2, [2, 0])):
        [kept] = survivors_of_levels(boxes[None], scores[None], fit[None], [2, 3], 0.5, limit)
        assert kept.tolist() == expected


def test_survivors_of_groups_are_divided_by_image() -> None:
    # Two images of two groups: 0 and 1, 2 and 3.
    boxes = boxes_of([[0, 0, 10, 10]] * 5)
    scores, groups = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9]), torch.tensor([0, 1, 1, 3, 2])
    for fit, expected in (([True] * 5, [[2, 0], [4, 3]]), ([True, True, False, True, False], [[1, 0], [3]])):
        kept = survivors_of_groups(boxes, scores, torch.tensor(fit), groups, 2, 2, 0.5, 9)
        assert [own.tolist() for own in kept] == expected
