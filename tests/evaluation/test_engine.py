"""Both engines of COCO's rules: the same arrays, and nothing printed."""

from __future__ import annotations

import numpy as np
import pytest

from faster_rcnn.errors import MachineError
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.coco import ExactDetections, columns_of, measure
from made_truths import CELLS, NOTHING, SIZE, detections, image


@pytest.mark.parametrize("empty", ["nothing", "no truths", "no detections"])
def test_both_engines_give_the_same_arrays(empty: str) -> None:
    random = np.random.default_rng(0)
    truths, found = (0 if empty == "no truths" else 40), (0 if empty == "no detections" else 90)
    columns = engine.Columns(
        sizes=(SIZE, SIZE, SIZE),
        num_categories=3,
        truths=engine.TruthColumns(
            images=random.integers(1, 4, truths),
            categories=random.integers(1, 3, truths),
            boxes_xywh=random.uniform(1, 100, (truths, 4)),
            areas=random.uniform(1, 10_000, truths),
            ignored=random.random(truths) < 0.2,
        ),
        detections=engine.DetectionColumns(
            images=random.integers(1, 4, found),
            categories=random.integers(1, 3, found),
            boxes_xywh=random.uniform(1, 100, (found, 4)),
            scores=random.random(found).round(1),
        ),
    )
    ours, oracle = engine.curves_by_hotcoco(columns), engine.curves_by_pycocotools(columns)
    np.testing.assert_array_equal(ours.precision, oracle.precision)
    np.testing.assert_array_equal(ours.recall, oracle.recall)


def test_pycocotools_steps_in_without_hotcoco(monkeypatch: pytest.MonkeyPatch) -> None:
    truths, found = [image([[0, 0, 40, 40]], [0])], [detections([[0, 0, 40, 38]], [0], [0.9])]
    usual = measure(truths, found, CELLS)
    monkeypatch.setattr(engine, "hotcoco", None)
    fallback = measure(truths, found, CELLS)
    assert usual.to_json("val") == fallback.to_json("val")
    assert (usual.engine[:7], fallback.engine) == ("hotcoco", "pycocotools")


def test_without_either_engine_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "hotcoco", None)
    monkeypatch.setitem(__import__("sys").modules, "pycocotools.coco", None)
    with pytest.raises(MachineError, match="pip install hotcoco"):
        measure([image([[0, 0, 40, 40]], [0])], [NOTHING], CELLS)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    measure([image([[0, 0, 40, 40]], [0])], [NOTHING], CELLS)
    monkeypatch.setattr(engine, "hotcoco", None)
    measure([image([[0, 0, 40, 40]], [0])], [NOTHING], CELLS)
    assert capfd.readouterr() == ("", "")


def test_tide_names_each_error() -> None:
    """A duplicate, a loose box, a wrong class, one on background; and a missed truth."""
    boxes: list[list[float]] = [[0, 0, 10, 10], [0, 0, 10, 9], [50, 0, 60, 4], [100, 0, 110, 10], [150, 150, 160, 160]]
    truth = image([[0, 0, 10, 10], [50, 0, 60, 10], [100, 0, 110, 10], [0, 100, 10, 110]], [0, 0, 1, 0])
    found = ExactDetections.of(detections(boxes, [0] * 5, [0.9, 0.8, 0.7, 0.6, 0.5]))
    columns = columns_of([truth], [found], CELLS)
    errors = engine.tide_errors(columns, 0.5)
    assert errors is not None
    assert {name: errors.counts[name] for name in ("Dupe", "Loc", "Cls", "Bkg", "Both")} == {
        "Dupe": 1,
        "Loc": 1,
        "Cls": 1,
        "Bkg": 1,
        "Both": 0,
    }
    assert errors.counts["Miss"] == 1  # a truth on which a loose box lies is mended with that box
    assert set(errors.delta_ap) == {*engine.TIDE, "FP", "FN"}


def test_pycocotools_has_no_tide(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = columns_of([image([[0, 0, 10, 10]], [0])], [ExactDetections.of(NOTHING)], CELLS)
    monkeypatch.setattr(engine, "hotcoco", None)
    assert engine.tide_errors(columns, 0.5) is None
