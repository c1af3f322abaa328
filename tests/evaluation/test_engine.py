"""Both engines of COCO's rules: the same arrays, and nothing printed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from faster_rcnn.errors import MachineError
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.coco import TruthOfImage, measure
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize

CELLS = ClassMap(("red", "white"), (1, 2))
SIZE = ImageSize(200, 200)


def image(boxes: list[list[float]], labels: list[int], ignored: list[bool] | None = None, number: int = 1) -> Any:
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    flags = torch.tensor(ignored or [False] * len(boxes), dtype=torch.bool)
    truth = GroundTruth(corners, torch.tensor(labels, dtype=torch.int64), flags)
    areas = ((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])).double()
    return TruthOfImage(number, SIZE, truth, areas)


def detections(boxes: list[list[float]], labels: list[int], scores: list[float]) -> Detections:
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(corners, torch.tensor(scores), torch.tensor(labels, dtype=torch.int64))


NOTHING = detections([], [], [])


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
