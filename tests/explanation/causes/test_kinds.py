from __future__ import annotations

import pytest
import torch

from faster_rcnn.explanation.causes.kinds import ORDER, Question, Thresholds, Verdict, VerdictKind, lost, shorter_side
from tiny import boxes_of, truth_of


def question(index: int = 0) -> Question:
    boxes = [(0, 0, 10, 10), (5, 0, 15, 10), (0, 0, 10, 10), (5, 0, 15, 10)]
    truth = truth_of(boxes, [0, 0, 1, 0], [False, False, False, True])
    return Question(index, truth, Thresholds(0.5))


def test_the_order_is_that_of_the_stages() -> None:
    assert ORDER[0] == VerdictKind.NO_ANCHOR
    assert ORDER[-1] == VerdictKind.FOUND
    assert ORDER.index(VerdictKind.SUPPRESSED_PROPOSAL) < ORDER.index(VerdictKind.BACKGROUND)
    assert ORDER.index(VerdictKind.LOOSE_BOX) < ORDER.index(VerdictKind.SUPPRESSED_DETECTION)
    assert ORDER.index(VerdictKind.SUPPRESSED_DETECTION) < ORDER.index(VerdictKind.LOW_SCORE)


def test_the_iou_with_the_truth_is_in_double_precision() -> None:
    ious = question().iou_with(boxes_of([(0, 0, 10, 10), (5, 0, 15, 10), (50, 50, 60, 60)]))
    assert ious.tolist() == [1, 1 / 3, 0]  # 5 * 10 shared, 15 * 10 together


def test_the_nearest_truth_of_the_class_has_the_highest_iou_and_ignored_ones_do_not_count() -> None:
    boxes = boxes_of([(1, 0, 11, 10), (4, 0, 14, 10), (2.5, 0, 12.5, 10)])
    assert question(0).is_nearest_to(boxes).tolist() == [True, False, False]
    # In the middle between two truths of equal IoU the last one has the box, as in match_detections.
    assert question(1).is_nearest_to(boxes).tolist() == [False, True, True]
    assert question(2).is_nearest_to(boxes).tolist() == [True, True, True]  # the only truth of its class
    assert question(0).is_nearest_to(torch.zeros(0, 4)).tolist() == []


def test_a_lost_truth_is_missed() -> None:
    found = lost(question(1), VerdictKind.LOW_SCORE, None, 0.25, 0.5, "conf")
    assert found == Verdict(1, 0, VerdictKind.LOW_SCORE, None, 0.25, 0.5, "conf")
    assert found.missed
    assert not Verdict(1, 0, VerdictKind.FOUND, None).missed


@pytest.mark.parametrize(("box", "side"), [((1, 2, 4, 9), 3), ((0, 0, 9, 2.5), 2.5)])
def test_the_shorter_side(box: tuple[float, ...], side: float) -> None:
    assert shorter_side(boxes_of([box])[0]) == side
