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


def test_an_interval_is_as_wide_as_that_of_samples_that_count_an_image_each_time() -> None:
    columns = made_columns(0, images=40)
    found = metric_intervals(columns)
    assert found is not None
    random = np.random.default_rng(1)
    drawn = [_drawn(columns, random.integers(1, 41, 40)) for _ in range(300)]
    values = np.array([metrics_of(engine.curves(each), each, CLASSES).ap50 for each in drawn], dtype=float)
    # An interval of 95 % is 2 x 1.96 standard deviations wide; of 300 samples these are known to some 4 %.
    assert found["AP50"].upper - found["AP50"].lower == pytest.approx(2 * 1.96 * values.std(), rel=0.2)


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


def test_the_width_by_hand() -> None:
    # Of 2 images 1.5 differ on average, so the factor is sqrt(1.5 / 0.5) = 1.732; 1.96 x 1.732 x 0.1 = 0.3395.
    samples = {"std_err": 0.1, "prob_positive": 1.0}
    ends = bootstrap._interval(0.5, samples, 2)
    assert (ends.lower, ends.upper) == pytest.approx((0.16053, 0.83947), abs=1e-5)
    assert bootstrap._interval(0.9, samples, 2).upper == 1.0


def test_areas_that_are_left_out_change_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = made_columns(2, images=6)
    found = metric_intervals(columns, samples=100)
    monkeypatch.setattr(bootstrap, "_matched", engine.hotcoco_matched)
    assert metric_intervals(columns, samples=100) == found


def test_there_are_none_without_truths_or_hotcoco(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = made_columns(0, images=3)
    empty = replace(columns, truths=replace(columns.truths, images=np.zeros(0, dtype=np.int64)))
    assert metric_intervals(empty) is None
    assert metric_intervals(made_columns(0, images=1)) is None
    monkeypatch.setattr(engine, "hotcoco", None)
    assert change_intervals(columns, columns) is None


def test_an_interval_is_written_with_how_it_was_drawn() -> None:
    written = {"lower": 0.25, "upper": 0.5, "confidence": 0.95, "samples": 1000}
    assert BootstrapInterval(0.25, 0.5, 1.0).to_json() == written
