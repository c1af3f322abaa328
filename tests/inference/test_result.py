from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.result import Result, shortest
from faster_rcnn.structures import Detections, ImageSize
from files import CLASSES, image_file, rgb


def result_of(image: AnyImage) -> Result:
    boxes = torch.tensor([[10.5, 5.0, 30.5, 25.0], [0.0, 0.0, 60.0, 40.0]])
    scores, labels = torch.tensor([0.75, 0.5]), torch.tensor([2, 0])
    return Result(Detections(boxes, scores, labels), CLASSES, ImageSize(40, 60), image)


def nothing_in(image: AnyImage) -> Result:
    empty = torch.zeros(0)
    return Result(Detections(torch.zeros(0, 4), empty, empty.long()), CLASSES, ImageSize(40, 60), image)


def test_names_and_ids_are_those_of_the_data() -> None:
    result = result_of("a.png")
    assert (len(result), result.names, result.label_ids) == (2, ["cow", "cat"], [7, 1])
    assert result.path == Path("a.png")
    assert repr(result) == "Result(a.png, 60x40, 2 detections: cow 0.75, cat 0.50)"


def test_coco_boxes_are_corner_and_sides() -> None:
    # (10.5, 5, 30.5, 25): sides 30.5 - 10.5 = 20 and 25 - 5 = 20
    assert result_of("a.png").to_coco(image_id=12) == [
        {"image_id": 12, "category_id": 7, "bbox": [10.5, 5.0, 20.0, 20.0], "score": 0.75},
        {"image_id": 12, "category_id": 1, "bbox": [0.0, 0.0, 60.0, 40.0], "score": 0.5},
    ]


def test_numbers_are_the_shortest_that_give_the_same_float32() -> None:
    # Around 267 the distance to the next float32 is 2^-15 = 0.00003, so four decimals are enough.
    values = torch.tensor([[267.2499084472656, 0.1], [1e-7, 16777216.0]])
    assert json.dumps(shortest(values)) == "[[267.2499, 0.1], [1e-07, 16777216.0]]"
    noise = torch.rand(1000) * 1000
    assert torch.equal(torch.tensor(json.loads(json.dumps(shortest(noise)))), noise)
    assert max(len(json.dumps(number)) for number in shortest(noise)) <= 10  # nine digits and the point
    assert shortest(torch.zeros(0, 4)) == []


def test_coco_boxes_have_no_more_decimals_than_their_corners() -> None:
    # As text: 267.2499 - 10.1 = 257.1499, and 20.3 - 5.7 = 14.6
    boxes = torch.tensor([[10.1, 5.7, 267.2499, 20.3]])
    detections = Detections(boxes, torch.tensor([0.9]), torch.tensor([0]))
    result = Result(detections, CLASSES, ImageSize(100, 300), rgb(100, 300))
    [found] = result.to_coco()
    assert json.dumps([found["bbox"], found["score"]]) == "[[10.1, 5.7, 257.1499, 14.6], 0.9]"


def test_the_json_object() -> None:
    assert json.loads(json.dumps(result_of("photos/a.png").to_json())) == {
        "image": "photos/a.png",
        "width": 60,
        "height": 40,
        "detections": [
            {"box": [10.5, 5.0, 30.5, 25.0], "score": 0.75, "label": "cow", "label_id": 7},
            {"box": [0.0, 0.0, 60.0, 40.0], "score": 0.5, "label": "cat", "label_id": 1},
        ],
    }


def test_no_detections_are_a_result_too() -> None:
    result = nothing_in(rgb())
    assert (len(result), result.names, result.to_coco()) == (0, [], [])
    assert result.to_json() == {"image": None, "width": 60, "height": 40, "detections": []}
    assert repr(result) == "Result(image, 60x40, 0 detections)"
    np.testing.assert_array_equal(np.asarray(result.picture()), rgb())


def test_the_picture_shows_the_boxes(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    picture = result_of(path).picture()
    assert picture.size == (60, 40)
    assert (np.asarray(picture) != rgb()).any()
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(result_of(rgb()).picture()))
