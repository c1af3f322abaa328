"""Mending never lowers the number of right detections among the best n, at any IoU threshold of AP."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faster_rcnn.evaluation.coco import measure
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.explanation.causes.false_positives import FalseKind, false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.dataset.mending import FIRST, Mending
from faster_rcnn.structures import Detections, GroundTruth
from made_surveys import CLASSES, record_of
from made_surveys import detections_of as found
from tiny import truth_of


def ap_of(detections: Detections, truth: GroundTruth) -> float | None:
    record = record_of(truth.boxes.tolist(), truth.labels.tolist())
    return measure(truths_of([record]), [detections], CLASSES).ap


TRUTH = truth_of([[0, 0, 10, 10], [50, 0, 60, 10]], [0, 0])


def test_a_loose_detection_gives_way_to_the_perfect_one() -> None:
    # IoU 4 / 10 = 0.4 with the first truth; the second truth is found.
    mending = Mending.of(found(([50, 0, 60, 10], 0.9, 0), ([0, 0, 10, 4], 0.8, 0)), TRUTH)
    assert mending.stand_ins() == {1: 0, 0: 1}
    mended = mending.with_found([0], mending.stand_ins())
    assert mended.boxes.tolist() == [[0, 0, 10, 10], [50, 0, 60, 10]]
    assert mended.scores.tolist() == pytest.approx([FIRST, 0.9])
    assert ap_of(mended, TRUTH) == pytest.approx(1.0)


def test_a_detection_of_low_score_gives_way_too() -> None:
    mending = Mending.of(found(([0, 0, 10, 10], 0.1, 0)), TRUTH)
    assert mending.with_found([0], mending.stand_ins()).scores.tolist() == [FIRST]


def test_a_truth_that_nothing_is_near_gets_a_detection() -> None:
    mending = Mending.of(found(), TRUTH)
    assert mending.stand_ins() == {}
    assert mending.with_found([1], {}).boxes.tolist() == [[50, 0, 60, 10]]


def test_a_detection_that_counts_for_a_neighbour_stays() -> None:
    """It lies loosely on the missed truth, and is the only one on its neighbour."""
    truth = truth_of([[0, 0, 10, 10], [4, 0, 14, 10]], [0, 0])
    mending = Mending.of(found(([4, 0, 14, 10], 0.9, 0)), truth)
    assert mending.stand_ins() == {1: 0}
    assert len(mending.with_found([0], mending.stand_ins())) == 2


def test_the_better_box_of_two_duplicates_stays() -> None:
    # IoU 0.6 ranks first and counts; the duplicate has 0.9, and is the right one at thresholds from 0.65 on.
    detections = found(([0, 0, 10, 6], 0.9, 0), ([0, 0, 10, 9], 0.8, 0))
    false = false_positives(detections, TRUTH, Thresholds(0.5))
    assert [each.kind for each in false] == [FalseKind.DUPLICATE]
    mended = Mending.of(detections, TRUTH).without(false)
    assert mended.boxes.tolist() == [[0, 0, 10, 9]]
    assert mended.scores.tolist() == pytest.approx([0.9])


def test_boxes_are_mended_once_for_each_truth() -> None:
    detections = found(([0, 0, 10, 3], 0.9, 0), ([0, 0, 10, 9], 0.8, 0), ([50, 0, 60, 2], 0.7, 1))
    mended = Mending.of(detections, TRUTH).with_true_boxes()
    # The best detection takes the truth, its duplicate keeps its box, and a dog is no cat.
    assert mended.boxes.tolist() == [[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 2]]


def test_ignored_truths_are_not_mended() -> None:
    truth = truth_of([[0, 0, 10, 10]], [0], [True])
    mending = Mending.of(found(([0, 0, 10, 8], 0.9, 0)), truth)
    assert mending.with_true_boxes().boxes.tolist() == [[0, 0, 10, 8]]
    assert mending.stand_ins() == {}


corner, side, label = st.integers(0, 12), st.integers(3, 10), st.integers(0, 1)
rows = st.tuples(corner, corner, side, side, label).map(lambda r: ([r[0], r[1], r[0] + r[2], r[1] + r[3]], r[4]))
scenes = st.tuples(st.lists(rows, min_size=1, max_size=5), st.lists(rows, max_size=8))


@settings(max_examples=50)
@given(scenes, st.sampled_from([0.5, 0.7]), st.data())
def test_ap_never_falls(scene: tuple[list[tuple[list[float], int]], ...], iou: float, data: st.DataObject) -> None:
    wanted, given_rows = scene
    truth = truth_of([box for box, _ in wanted], [label for _, label in wanted])
    detections = found(*((box, 0.95 - 0.1 * rank, label) for rank, (box, label) in enumerate(given_rows)))
    plain = ap_of(detections, truth)
    mending = Mending.of(detections, truth)
    assert plain is not None
    missed = data.draw(st.sets(st.integers(0, len(wanted) - 1)))
    false = false_positives(detections, truth, Thresholds(0.3, iou))
    kind = data.draw(st.sampled_from(list(FalseKind)))
    for mended in (
        mending.with_found(missed, mending.stand_ins()),
        mending.without([each for each in false if each.kind == kind]),
        mending.with_true_boxes(),
    ):
        ap = ap_of(mended, truth)
        assert ap is not None
        assert ap >= plain - 1e-9
