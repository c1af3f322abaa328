from __future__ import annotations

import logging

import pytest
import torch

from faster_rcnn.errors import ImageError
from faster_rcnn.inference.result import Result
from faster_rcnn.serving.rows import SCHEMA, Rows, failed_rows
from faster_rcnn.structures import Detections
from files import CLASSES, SIZE
from tiny import boxes_of


def result_of(*rows: tuple[float, int]) -> Result:
    """Detections of these scores and labels, all with the box (1, 2, 30.5, 20)."""
    boxes = boxes_of([[1, 2, 30.5, 20]] * len(rows))
    scores, labels = torch.tensor([each[0] for each in rows]), torch.tensor([each[1] for each in rows]).long()
    return Result(Detections(boxes, scores, labels), CLASSES, SIZE, "any.jpg")


def test_each_image_has_its_rows_in_the_order_of_the_images() -> None:
    rows = Rows(["a", "b", "c"])
    rows.add(2, result_of((0.75, 1), (0.5, 0)))
    rows.fail(1, ImageError("cannot decode b", code="E105"))
    rows.add(0, result_of())
    table = rows.table()
    assert table.schema.equals(SCHEMA)
    found = table.to_pylist()
    assert [row["image"] for row in found] == ["a", "b", "c", "c"]
    nothing = dict.fromkeys(SCHEMA.names)
    assert found[0] == nothing | {"image": "a", "width": 60, "height": 40}
    assert found[1] == nothing | {"image": "b", "error": "E105 cannot decode b"}
    box = {"x1": 1.0, "y1": 2.0, "x2": 30.5, "y2": 20.0}
    assert found[2] == found[0] | {"image": "c", "label": "dog", "label_id": 5, "score": 0.75, **box}
    assert (found[3]["label"], found[3]["label_id"], found[3]["score"]) == ("cat", 1, 0.5)


def test_an_image_without_an_outcome_is_an_error() -> None:
    with pytest.raises(KeyError):
        Rows(["a"]).table()


def test_a_warning_of_the_decoder_is_in_the_rows_of_its_image() -> None:
    rows = Rows(["a.jpg", "b.jpg"])
    decoder = logging.getLogger("faster_rcnn.data.decode")
    with rows.with_decoder_warnings():
        decoder.warning("%s", "b.jpg may be damaged: bytes are missing; it is used as it was decoded")
    decoder.warning("a.jpg may be damaged: too late")
    for number in range(2):
        rows.add(number, result_of((0.5, 0), (0.25, 0)))
    warning = "b.jpg may be damaged: bytes are missing; it is used as it was decoded"
    assert rows.table()["warning"].to_pylist() == [None, None, warning, warning]


def test_failed_rows_may_be_none() -> None:
    assert failed_rows(["a"], "it is gone").to_pylist() == [
        dict.fromkeys(SCHEMA.names) | {"image": "a", "error": "it is gone"}
    ]
    assert failed_rows([], "it is gone").schema.equals(SCHEMA)
