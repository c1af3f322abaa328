"""A built case for each verdict of the second stage: exactly one step loses the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.causes.verdicts import verdicts_on
from faster_rcnn.inference.tiles import Tile
from made_recordings import Box, Way, made_recording
from tiny import truth_of

TRUTH = (20.0, 20.0, 40.0, 40.0)
FAR = (60.0, 50.0, 80.0, 70.0)
TALL = (20.0, 20.0, 40.0, 64.0)
"""Its IoU with ``TRUTH`` is 20 * 20 / (20 * 44) = 5 / 11."""
NEIGHBOUR = (20.0, 20.0, 40.0, 41.0)
"""Its IoU with ``TRUTH`` is 20 / 21."""
SURE, LESS_SURE = (0.95, 0.01, 0.01), (0.9, 0.01, 0.01)
TILE = Tile(0, 0, 60, 60)


def verdicts(ways: Sequence[Way], truths: Sequence[Box] = (TRUTH,), **settings: Any) -> tuple[Verdict, ...]:
    return verdicts_on(made_recording(ways, **settings), truth_of(truths), Thresholds(0.5, 0.5))


def verdict(*ways: Way, **settings: Any) -> Verdict:
    [found] = verdicts(ways, **settings)
    return found


def numbers(found: Verdict) -> tuple[VerdictKind, float | None, float | None, str | None]:
    value, limit = (None if each is None else round(each, 4) for each in (found.value, found.limit))
    return found.kind, value, limit, found.setting


def test_a_region_is_taken_for_background() -> None:
    found = verdict(Way(TRUTH, scores=(0.2, 0.1, 0.1)))
    assert numbers(found) == (VerdictKind.BACKGROUND, 0.2, 0.6, "conf")


def test_a_region_is_taken_for_another_class() -> None:
    found = verdict(Way(TRUTH, scores=(0.2, 0.05, 0.7)))
    assert numbers(found) == (VerdictKind.OTHER_CLASS, 0.2, 0.7, "conf")
    assert found.life is not None
    assert found.life.rival is not None
    assert found.life.rival[0] == 2


def test_the_second_transform_leaves_the_truth() -> None:
    found = verdict(Way(TRUTH, box=TALL))
    assert numbers(found) == (VerdictKind.LOOSE_BOX, round(5 / 11, 4), 0.5, None)
    assert found.life is not None
    assert found.life.ious(truth_of([TRUTH]).boxes[0]) == pytest.approx((1, 1, 5 / 11), abs=1e-5)


def test_of_loose_boxes_the_nearest_is_named() -> None:
    nearest = (20.0, 20.0, 40.0, 62.0)
    found = verdict(Way(TRUTH, objectness=0.9, box=TALL), Way(TRUTH, objectness=0.8, box=nearest), rpn={"nms_iou": 1.0})
    assert numbers(found) == (VerdictKind.LOOSE_BOX, round(20 / 42, 4), 0.5, None)


def test_the_second_transform_mends_the_first() -> None:
    assert verdict(Way(TRUTH, proposal=TALL, box=TRUTH)).kind == VerdictKind.FOUND


def test_the_detection_is_too_small() -> None:
    found = verdict(Way(TRUTH), roi={"min_side": 50.0})  # 20 pixels, 40 after resizing
    assert numbers(found) == (VerdictKind.SMALL_BOX, 40.0, 50.0, "roi.min_side")


def test_a_neighbour_suppresses_the_detection() -> None:
    found = verdict(Way(TALL, scores=SURE), Way(TRUTH, scores=LESS_SURE), roi={"nms_iou": 0.3})
    assert numbers(found) == (VerdictKind.SUPPRESSED_DETECTION, round(5 / 11, 4), 0.3, "roi.nms_iou")
    assert found.suppressor is not None
    assert found.suppressor.box == pytest.approx(TALL, abs=1e-3)
    assert found.suppressor.score == pytest.approx(0.95)


def test_nms_across_classes_names_a_suppressor_of_another_class() -> None:
    ways = [Way(TALL, scores=(0.01, 0.95, 0.01)), Way(TRUTH, scores=LESS_SURE)]
    found = verdict(*ways, across_classes=True, roi={"nms_iou": 0.3})
    assert numbers(found) == (VerdictKind.SUPPRESSED_DETECTION, round(5 / 11, 4), 0.3, "roi.nms_iou")
    assert found.suppressor is not None
    assert found.suppressor.label == 1
    assert verdict(*ways, roi={"nms_iou": 0.3}).kind == VerdictKind.FOUND


def test_the_merging_of_tiles_suppresses_the_detection() -> None:
    tiles = [(TILE, [Way(TRUTH, scores=LESS_SURE)])]
    found = verdict(Way(TALL, scores=SURE), tiles=tiles, roi={"nms_iou": 0.3})
    assert numbers(found) == (VerdictKind.SUPPRESSED_DETECTION, 0.9, 0.5, None)
    assert found.life is not None
    assert found.life.part == 1
    assert found.suppressor is None


def test_the_only_detection_counts_for_a_neighbour() -> None:
    lost, kept = verdicts([Way(NEIGHBOUR)], [TRUTH, NEIGHBOUR])
    assert numbers(lost) == (VerdictKind.SHARED_DETECTION, round(20 / 21, 4), 0.5, None)
    assert kept.kind == VerdictKind.FOUND


def test_of_two_equal_truths_the_last_has_the_detection() -> None:
    lost, kept = verdicts([Way(TRUTH)], [TRUTH, TRUTH])
    assert (lost.kind, kept.kind) == (VerdictKind.SHARED_DETECTION, VerdictKind.FOUND)


def test_a_neighbour_without_a_detection_takes_none() -> None:
    """The one region is nearer to the neighbour, but is not reported: its score is too low for both truths."""
    for found in verdicts([Way(NEIGHBOUR, scores=(0.45, 0.3, 0.1))], [TRUTH, NEIGHBOUR]):
        assert numbers(found) == (VerdictKind.LOW_SCORE, 0.45, 0.5, "conf")


def test_a_region_of_its_own_is_named_before_the_detection_of_a_neighbour() -> None:
    ways = [Way(NEIGHBOUR, objectness=0.95, scores=SURE), Way(TRUTH, scores=LESS_SURE)]
    lost, kept = verdicts(ways, [TRUTH, NEIGHBOUR], rpn={"nms_iou": 1.0})
    assert numbers(lost) == (VerdictKind.SUPPRESSED_DETECTION, round(20 / 21, 4), 0.5, "roi.nms_iou")
    assert kept.kind == VerdictKind.FOUND


def test_better_detections_fill_the_limit() -> None:
    found = verdict(Way(FAR, scores=SURE), Way(TRUTH, scores=LESS_SURE), roi={"max_detections": 1})
    assert numbers(found) == (VerdictKind.MAX_DETECTIONS, 2, 1, "roi.max_detections")


def test_the_score_is_below_conf() -> None:
    found = verdict(Way(TRUTH, scores=(0.45, 0.3, 0.1)))
    assert numbers(found) == (VerdictKind.LOW_SCORE, 0.45, 0.5, "conf")


def test_the_score_is_not_above_the_floor() -> None:
    found = verdict(Way(TRUTH, scores=(0.55, 0.3, 0.1)), roi={"score_floor": 0.6})
    assert numbers(found) == (VerdictKind.LOW_SCORE, 0.55, 0.6, "roi.score_floor")


def test_the_region_that_came_furthest_decides() -> None:
    ways = [Way(TRUTH, objectness=0.9, scores=(0.1, 0.1, 0.1)), Way(TRUTH, objectness=0.8, box=TALL)]
    assert verdict(*ways, rpn={"nms_iou": 1.0}).kind == VerdictKind.LOOSE_BOX


def test_of_a_first_stage_alone_the_proposals_are_the_detections() -> None:
    assert verdict(Way(TRUTH), kind="rpn").kind == VerdictKind.FOUND
    low = verdict(Way(TRUTH, objectness=0.4), kind="rpn")
    assert numbers(low) == (VerdictKind.LOW_SCORE, 0.4, 0.5, "conf")
    lost, kept = verdicts([Way(NEIGHBOUR)], [TRUTH, NEIGHBOUR], kind="rpn")
    assert numbers(lost) == (VerdictKind.SHARED_DETECTION, round(20 / 21, 4), 0.5, None)
    assert kept.kind == VerdictKind.FOUND
    merged = verdict(
        Way(TALL, objectness=0.95), tiles=[(TILE, [Way(TRUTH)])], kind="rpn", rpn={"nms_iou": 0.3}, roi={"nms_iou": 0.3}
    )
    assert numbers(merged) == (VerdictKind.SUPPRESSED_DETECTION, 0.9, 0.5, None)
