from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.detection import Detection
from faster_rcnn.inference.frame import Frame
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


COW, CAT = (
    Detection((10.5, 5.0, 30.5, 25.0), 0.75, 2, "cow", 7),
    Detection((0.0, 0.0, 60.0, 40.0), 0.5, 0, "cat", 1),
)


def test_detections_one_by_one() -> None:
    result = result_of("a.png")
    assert list(result) == [COW, CAT]
    assert (result[0], result[-1], result[np.int64(1)]) == (COW, CAT, CAT)
    assert list(nothing_in("a.png")) == []
    for place in (2, -3):
        with pytest.raises(IndexError, match=f"^there is no detection {place} among 2$"):
            result[place]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (slice(None), [COW, CAT]),
        (slice(1, None), [CAT]),
        (slice(None, None, -1), [CAT, COW]),
        (torch.tensor([False, True]), [CAT]),
        (np.array([True, False]), [COW]),
        ([False, False], []),
        ([1, -2], [CAT, COW]),
        ([], []),
        (np.array([1]), [CAT]),
        (torch.tensor([-1]), [CAT]),
    ],
)
def test_some_detections_are_a_result_of_the_same_image(rows: Any, kept: list[Detection]) -> None:
    result = result_of("a.png")
    some = result[rows]
    assert list(some) == kept
    assert (some.classes, some.size, some.image) == (result.classes, result.size, "a.png")
    assert len(result) == 2


def test_scores_and_names_choose_detections() -> None:
    result = result_of("a.png")
    assert result[result.scores > 0.6].names == ["cow"]
    assert result[[name == "cat" for name in result.names]].names == ["cat"]
    assert len(nothing_in("a.png")[torch.zeros(0, dtype=torch.bool)]) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (torch.tensor([True]), r"a mask of \(1,\) values for 2 detections"),
        (np.array([[True, False]]), r"a mask of \(1, 2\) values for 2 detections"),
        ([5], "there is no detection 5 among 2"),
        (torch.tensor([0.5]), "places are a list of integers or a mask, not torch.float32 with 1 axes"),
    ],
)
def test_places_that_do_not_exist_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(IndexError, match=f"^{message}$"):
        result_of("a.png")[rows]


def test_a_result_is_saved_by_the_ending_of_the_name(tmp_path: Path) -> None:
    result = result_of(rgb())
    for name, kind in (("a.jpg", "JPEG"), ("a.JPEG", "JPEG"), ("a.png", "PNG"), ("a.webp", "WEBP")):
        assert result.save(tmp_path / name) == tmp_path / name
        with Image.open(tmp_path / name) as picture:
            assert (picture.format, picture.size) == (kind, (60, 40))
    with Image.open(tmp_path / "a.png") as picture:
        assert (np.asarray(picture) == np.asarray(result.picture())).all()
    assert json.loads(result.save(str(tmp_path / "a.json")).read_text()) == result.to_json()
    with pytest.raises(
        OptionError, match=r"^E126 save .*a\.pdf: a result is written as \.jpg, \.jpeg, \.png, \.webp or"
    ):
        result.save(tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()


def test_one_place_may_be_a_tensor_without_an_axis() -> None:
    result = result_of("a.png")
    for place in (torch.tensor(1), np.array(1), np.int64(1), torch.tensor(-1)):
        assert result[place] == result[1]
    for other in (torch.tensor(True), np.array(False), torch.tensor(0.0), torch.tensor(2)):
        with pytest.raises(IndexError):
            result[other]


def test_names_that_are_not_utf_8_are_saved(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    result = result_of(str(image_file(tmp_path / f"{name}.png")))
    saved = json.loads(result.save(tmp_path / f"{name}.json").read_text())
    assert saved == result.to_json()
    assert saved["image"].endswith(f"{name}.png")
    with Image.open(result.save(tmp_path / f"{name}.jpg")) as picture:
        assert picture.size == (60, 40)


def test_no_file_appears_without_its_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="E104"):
        result_of(str(tmp_path / "gone.png")).save(tmp_path / "out" / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_shows_the_picture_and_the_numbers(tmp_path: Path) -> None:
    html = result_of(rgb())._repr_html_()
    assert html.count("<img") == 1
    assert "data:image/jpeg;base64," in html
    assert "image, 60x40: 2 detections" in html
    [row] = [line for line in html.splitlines() if "cow" in line]
    assert re.sub("<[^>]+>", " ", row).split() == ["cow", "0.750", "10.5", "5.0", "30.5", "25.0"]
    gone = result_of(str(tmp_path / "<b>.png"))._repr_html_()
    assert "<img" not in gone
    assert "&lt;b&gt;.png" in gone
    assert "0 detections" in nothing_in(rgb())._repr_html_()


def test_a_notebook_names_the_frame_of_a_film() -> None:
    assert (
        "<caption>frame 12 of street.mp4, 60x40: 2 detections"
        in result_of(Frame(rgb(), 12, 0.48, "street.mp4"))._repr_html_()
    )


def test_a_notebook_shows_the_best_of_many() -> None:
    one = result_of("gone.png")
    many = one[[0] * 25]
    assert many._repr_html_().count("<tr>") == 21
    assert "and 5 more" in many._repr_html_()


def test_other_libraries_get_the_detections() -> None:
    result = result_of("a.png")
    assert [each["label"] for each in result.to_hf()] == ["cow", "cat"]
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    assert result.to_pandas()["label"].tolist() == ["cow", "cat"]
