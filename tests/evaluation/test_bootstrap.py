from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faster_rcnn.evaluation import bootstrap, engine
from faster_rcnn.evaluation.bootstrap import BootstrapInterval, change_intervals, metric_intervals
from faster_rcnn.evaluation.coco import metrics_of
from faster_rcnn.structures import ClassMap
from made_details import made_columns

CLASSES = ClassMap(("cat", "cow", "dog"), (1, 2, 3))


def test_an_interval_is_that_of_samples_of_the_images() -> None:
    columns = made_columns(0, images=12)
    found = metric_intervals(columns, samples=200)
    assert found is not None
    random = np.random.default_rng(1)
    drawn = [_drawn(columns, random.integers(1, 13, 12)) for _ in range(200)]
    values = [metrics_of(engine.curves(each), each, CLASSES).ap50 for each in drawn]
    lower, upper = np.percentile(np.array(values, dtype=float), [2.5, 97.5])
    # Both are drawn 200 times, so that their ends differ by some hundredths.
    assert (found["AP50"].lower, found["AP50"].upper) == pytest.approx((lower, upper), abs=0.05)


def _drawn(columns: engine.Columns, drawn: np.ndarray) -> engine.Columns:
    """The images that were drawn, as images of their own."""
    truths, found = columns.truths, columns.detections
    own, theirs = ([np.flatnonzero(each.images == place) for place in drawn] for each in (truths, found))
    at, of = np.concatenate(own), np.concatenate(theirs)
    numbers = np.arange(1, len(drawn) + 1)
    return replace(
        columns,
        truths=engine.TruthColumns(
            np.repeat(numbers, [len(each) for each in own]),
            truths.categories[at],
            truths.boxes_xywh[at],
            truths.areas[at],
            truths.ignored[at],
        ),
        detections=engine.DetectionColumns(
            np.repeat(numbers, [len(each) for each in theirs]),
            found.categories[of],
            found.boxes_xywh[of],
            found.scores[of],
        ),
    )


def test_areas_that_are_left_out_change_no_interval() -> None:
    columns = made_columns(2, images=6)
    plain = [engine.hotcoco_matched(each) for each in (replace(columns, detections=bootstrap._NOTHING), columns)]
    expected = engine.bootstrapped_change(plain[0], plain[1], 100, bootstrap.CONFIDENCE)
    found = metric_intervals(columns, samples=100)
    assert found is not None
    for name, each in found.items():
        assert (each.lower, each.upper) == (expected[name]["lower"], expected[name]["upper"])


def test_there_are_none_without_truths_or_hotcoco(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = made_columns(0, images=3)
    empty = replace(columns, truths=replace(columns.truths, images=np.zeros(0, dtype=np.int64)))
    assert metric_intervals(empty) is None
    monkeypatch.setattr(engine, "hotcoco", None)
    assert change_intervals(columns, columns) is None


def test_an_interval_is_written_with_how_it_was_drawn() -> None:
    written = {"lower": 0.25, "upper": 0.5, "confidence": 0.95, "samples": 1000}
    assert BootstrapInterval(0.25, 0.5, 1.0).to_json() == written
