"""Numbers behind AP equal those of hotcoco and of oracles of a few lines, on made data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.engine import Columns, DetectionColumns
from faster_rcnn.evaluation.in_detail import ChosenScores, details_of, thresholds_of
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import with_precision
from made_details import made_columns

CLASSES = ClassMap(("cat", "cow", "dog"), (1, 2, 3))
SEEDS = pytest.mark.parametrize("seed", range(5))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


def matched(columns: Columns, category: int | None) -> list[tuple[float, int, int | None]]:
    """Score, detection and its truth, best score first: each takes the free truth of the highest IoU of 0.5 or more."""
    truths, found, taken = columns.truths, columns.detections, set[int]()
    rows: list[tuple[float, int, int | None]] = []
    for one in np.argsort(-found.scores):
        if category is not None and found.categories[one] != category:
            continue
        free = [
            place
            for place in np.flatnonzero(truths.images == found.images[one]).tolist()
            if place not in taken and category in (None, truths.categories[place])
        ]
        overlaps = [iou(found.boxes_xywh[one], truths.boxes_xywh[place]) for place in free]
        best = free[int(np.argmax(overlaps))] if overlaps and max(overlaps) >= 0.5 else None
        taken |= set() if best is None else {best}
        rows.append((float(found.scores[one]), int(one), best))
    return rows


def precision_and_recall(
    rows: Sequence[tuple[float, int, int | None]], score: float, truths: int
) -> tuple[float, float]:
    kept = [truth is not None for found, _, truth in rows if found >= score]
    return sum(kept) / max(len(kept), 1), sum(kept) / truths


@SEEDS
def test_precision_recall_and_f1_are_the_best_of_all_thresholds(seed: int) -> None:
    columns = made_columns(seed)
    details = details_of(columns, CLASSES)
    assert details is not None
    for category, each in enumerate(details.classes, 1):
        rows = matched(columns, category)
        assert each.point is not None
        assert (each.point.precision, each.point.recall) == precision_and_recall(rows, each.point.score, 20)
        every = [precision_and_recall(rows, score, 20) for score, _, _ in rows]
        best = max(2 * p * r / (p + r) for p, r in every if p + r)
        assert each.point.f1 == pytest.approx(best, abs=1e-12)


@SEEDS
def test_f1_is_that_of_hotcoco(seed: int) -> None:
    # hotcoco takes the best F1 at the recalls 0.00, 0.01, ...: those of 4 truths are among them, to the last bit.
    columns = made_columns(seed, images=4)
    evaluation = engine.hotcoco_matched(columns)
    evaluation.accumulate()
    details = details_of(columns, CLASSES)
    assert details is not None
    ours = [each.point.f1 for each in details.classes if each.point is not None]
    assert sum(ours) / 3 == pytest.approx(evaluation.f_scores()["F1_50"], abs=1e-12)


@SEEDS
def test_counts_at_a_threshold_are_those_of_hotcoco(seed: int) -> None:
    columns = made_columns(seed)
    details = details_of(columns, CLASSES, ChosenScores("0.45", dict.fromkeys(("cat", "cow", "dog"), 0.45)))
    kept = columns.detections.scores >= 0.45
    found = columns.detections
    reported = DetectionColumns(found.images[kept], found.categories[kept], found.boxes_xywh[kept], found.scores[kept])
    only = Columns(columns.sizes, 3, columns.truths, reported)
    images = engine.hotcoco_matched(only).image_diagnostics(iou_thr=0.5)["img_summary"].values()
    true, false, missed = (sum(each[name] for each in images) for name in ("tp", "fp", "fn"))
    assert details is not None
    recalls = [each.point.recall for each in details.classes if each.point is not None]
    assert (sum(recalls) * 20, 60 - sum(recalls) * 20) == pytest.approx((true, missed))
    rows = [row for category in (1, 2, 3) for row in matched(only, category)]
    assert (true, false) == (sum(one is not None for *_, one in rows), sum(one is None for *_, one in rows))


def voc(rows: Sequence[tuple[float, int, int | None]], truths: int) -> tuple[float, float]:
    """The two functions of the VOC development kit, from the true and false detections in order."""
    true = np.cumsum([truth is not None for *_, truth in rows])
    precision, recall = true / np.arange(1, len(rows) + 1), true / truths
    eleven = sum(max(precision[recall >= level - 1e-12], default=0.0) for level in np.linspace(0, 1, 11)) / 11
    ends, heights = np.r_[0, recall, 1], np.r_[0, precision, 0]
    heights = np.maximum.accumulate(heights[::-1])[::-1]
    return float(eleven), float(np.sum(np.diff(ends) * heights[1:]))


@SEEDS
def test_ap_of_voc_2007_and_2012(seed: int) -> None:
    columns = made_columns(seed)
    details = details_of(columns, CLASSES)
    assert details is not None
    expected = [voc(matched(columns, category), 20) for category in (1, 2, 3)]
    assert [(each.voc2007, each.voc2012) for each in details.classes] == [pytest.approx(each) for each in expected]
    assert (details.voc2007, details.voc2012) == pytest.approx(tuple(np.mean(expected, axis=0)))


@SEEDS
def test_confusion_is_that_of_hotcoco_and_of_matching_any_class(seed: int) -> None:
    columns = made_columns(seed)
    details = details_of(columns, CLASSES, ChosenScores("all", dict.fromkeys(("cat", "cow", "dog"), 0.0)))
    assert details is not None
    ours = np.array(details.confusion.counts)
    assert ours.tolist() == engine.hotcoco_matched(columns).confusion_matrix(iou_thr=0.5)["matrix"].tolist()
    expected = np.zeros((4, 4), dtype=int)
    rows = matched(columns, None)
    for _, one, truth in rows:
        expected[
            3 if truth is None else columns.truths.categories[truth] - 1, columns.detections.categories[one] - 1
        ] += 1
    for missed in set(range(60)) - {truth for *_, truth in rows}:
        expected[columns.truths.categories[missed] - 1, 3] += 1
    assert ours.tolist() == expected.tolist()


@SEEDS
def test_tide_and_calibration_are_those_of_hotcoco(seed: int) -> None:
    columns = made_columns(seed)
    details = details_of(columns, CLASSES)
    evaluation = engine.hotcoco_matched(columns)
    assert details is not None
    assert details.tide is not None
    tide, calibration = evaluation.tide_errors(), evaluation.calibration()
    assert (details.tide.delta_ap, details.tide.counts) == (tide["delta_ap"], tide["counts"])
    assert details.calibration.to_json()["bins"][5]["count"] == calibration["bins"][5]["count"]
    # Scores are compared with the share of true detections in ten bins; the matches are those of each class.
    rows = [row for category in (1, 2, 3) for row in matched(columns, category)]
    bins = [[row for row in rows if int(row[0] * 10) == place] for place in range(10)]
    gaps = [abs(sum(row[0] for row in each) - sum(row[2] is not None for row in each)) for each in bins]
    assert details.calibration.expected_error == pytest.approx(sum(gaps) / len(rows))


@SEEDS
def test_tide_kinds_add_up_to_the_false_detections_and_the_misses(seed: int) -> None:
    columns = made_columns(seed)
    details = details_of(columns, CLASSES)
    assert details is not None
    assert details.tide is not None
    rows = [row for category in (1, 2, 3) for row in matched(columns, category)]
    false = sum(truth is None for *_, truth in rows)
    assert sum(count for name, count in details.tide.counts.items() if name != "Miss") == false


def test_sizes_are_those_of_the_curves() -> None:
    columns = made_columns(0)
    details = details_of(columns, CLASSES)
    assert details is not None
    assert sum(each.truths for each in details.sizes) == 60
    for place, each in enumerate(details.sizes):
        assert each.truths == sum(one.sizes[place].truths for one in details.classes)
        curve = engine.curves(columns).precision[:, :, :, place + 1, -1]
        assert each.ap == pytest.approx(curve[curve > -1].mean())


@pytest.mark.parametrize("spread", [1.0, 1e-7], ids=["any scores", "scores near 1"])
def test_thresholds_hold_their_targets(spread: float) -> None:
    columns = made_columns(1)
    found = columns.detections
    columns = replace(columns, detections=replace(found, scores=1 - spread * (1 - found.scores)))
    thresholds = thresholds_of(columns, CLASSES, "val")
    assert thresholds is not None
    assert (thresholds.split, thresholds.images) == ("val", 20)
    for category, points in enumerate(thresholds.points, 1):
        rows = matched(columns, category)
        for each in points:
            counted = precision_and_recall(rows, each.score, 20)
            assert (each.precision, each.recall) == pytest.approx(counted, abs=1e-6)
        for target in (0.5, 0.8, 0.95):
            reached = [recall for p, recall in (precision_and_recall(rows, row[0], 20) for row in rows) if p >= target]
            point = with_precision(points, target)
            assert (None if point is None else point.recall) == (max(reached) if any(reached) else None)


def test_nothing_is_computed_without_hotcoco_or_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = made_columns(0)
    empty = Columns((), 3, columns.truths, columns.detections)
    assert details_of(empty, CLASSES) is None
    assert thresholds_of(empty, CLASSES, "val") is None
    monkeypatch.setattr(engine, "hotcoco", None)
    assert details_of(columns, CLASSES) is None
    assert thresholds_of(columns, CLASSES, "val") is None
