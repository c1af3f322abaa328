from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.errors import DatasetError
from faster_rcnn.evaluation.coco import measure
from faster_rcnn.evaluation.matching import NamedImage
from faster_rcnn.evaluation.results import is_results_file, read_results
from faster_rcnn.structures import ClassMap, ImageSize

CELLS = ClassMap(("red", None, "white"), (7, 8, 9))
SIZE = ImageSize(480, 640)
IMAGES = [NamedImage(5, Path("cells/images/a.jpg"), SIZE), NamedImage(3, Path("cells/images/b.jpg"), SIZE)]
RECORD = {"image_id": 3, "category_id": 9, "bbox": [1, 2, 3, 4.5], "score": 0.05}
DETECTION = {"box": [1, 2, 4, 6.5], "score": 0.05, "label": "white", "label_id": 9}
LINE = {"image": "cells/images/b.jpg", "width": 640, "height": 480, "detections": [DETECTION]}


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(*lines: Any, name: str = "results.json") -> Path:
        path = tmp_path / name
        path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    return write


@pytest.mark.parametrize("lines", [[[]], []], ids=["empty list", "empty file"])
def test_no_detections_at_all(lines: list[Any], file: Any) -> None:
    results = read_results(file(*lines), IMAGES, CELLS)
    assert [len(found.scores) for found in results.detections] == [0, 0]
    assert results.detections[0].boxes_xywh.shape == (0, 4)


@pytest.mark.parametrize("content", [[RECORD], LINE], ids=["coco", "lines"])
def test_both_kinds_give_the_same_detections(content: Any, file: Any) -> None:
    first, second = read_results(file(content), IMAGES, CELLS).detections
    assert len(first.scores) == 0
    assert second.boxes_xywh.tolist() == [[1.0, 2.0, 3.0, 4.5]]
    assert second.scores.tolist() == [0.05]
    assert second.labels.tolist() == [2]


def test_numbers_keep_their_double_precision(file: Any) -> None:
    score = 0.1234567890123456
    _, found = read_results(file([{**RECORD, "score": score, "bbox": [score, 0, 1, 1]}]), IMAGES, CELLS).detections
    assert found.scores.dtype == torch.float64
    assert found.scores.item() == found.boxes_xywh[0, 0].item() == score


def test_results_file_equals_pycocotools(data_folder: Any, coco_file: Any, file: Any) -> None:
    data = coco_file(data_folder("coco128") / "annotations" / "train.json")
    results = data.noisy(11)
    images = [
        NamedImage(i["id"], Path(i["file_name"]), ImageSize(i["height"], i["width"])) for i in data.dataset["images"]
    ]
    metrics = measure(data.truths, read_results(file(results), images, data.classes).detections, data.classes)
    numbers, oracle = metrics.to_json("train"), data.oracle(results)
    assert [numbers[key] for key in oracle.KEYS] == oracle.stats


# ---- which image a line means


def test_lines_match_whatever_folder_they_were_written_in(file: Any) -> None:
    for name in ("b.jpg", "/elsewhere/images/b.jpg", "D:\\old\\b.jpg", "cells/images/b.jpg"):
        found = read_results(file({**LINE, "image": name}), IMAGES, CELLS).detections
        assert [len(one.scores) for one in found] == [0, 1]


def test_longest_common_end_decides_between_equal_names(file: Any) -> None:
    images = [NamedImage(1, Path("x/left/0.jpg"), SIZE), NamedImage(2, Path("x/right/0.jpg"), SIZE)]
    found = read_results(file({**LINE, "image": "old/right/0.jpg"}), images, CELLS).detections
    assert [len(one.scores) for one in found] == [0, 1]
    with pytest.raises(DatasetError, match=r"^E138 image .* fits both .*; name it with more of its path"):
        read_results(file({**LINE, "image": "0.jpg"}), images, CELLS)


def test_another_picture_of_the_same_name_is_not_taken(tmp_path: Path, file: Any) -> None:
    for folder, content in (("train", b"one"), ("test", b"two"), ("copy", b"two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "0.jpg").write_bytes(content)
    images = [NamedImage(1, tmp_path / "test" / "0.jpg", SIZE)]
    with pytest.raises(DatasetError, match="E134"):
        read_results(file({**LINE, "image": str(tmp_path / "train" / "0.jpg")}), images, CELLS)
    copied = read_results(file({**LINE, "image": str(tmp_path / "copy" / "0.jpg")}), images, CELLS)
    assert len(copied.detections[0].scores) == 1


@pytest.mark.parametrize("name", ["images/caf\u00e9.jpg", "images/cafe\u0301.jpg", "D:\\x\\cafe\u0301.jpg"])
@pytest.mark.parametrize("on_disk", ["caf\u00e9.jpg", "cafe\u0301.jpg"])
def test_accents_in_one_character_or_two_are_the_same_letter(name: str, on_disk: str, file: Any) -> None:
    images = [NamedImage(1, Path("data") / on_disk, SIZE)]
    [found] = read_results(file({**LINE, "image": name}), images, CELLS).detections
    assert len(found.scores) == 1


@pytest.mark.parametrize("name", ["a\0/b.jpg", "x" * 5000 + "/b.jpg", "\ud800/b.jpg"])
def test_names_that_no_file_can_have_are_only_names(name: str, file: Any) -> None:
    found = read_results(file({**LINE, "image": name}), IMAGES, CELLS).detections
    assert [len(one.scores) for one in found] == [0, 1]


# ---- ids by the rule of the ground truth, numbers as text, lists inside objects


@pytest.mark.parametrize("image_id", [3, 3.0, "3", " 3 "])
@pytest.mark.parametrize("category_id", [9, 9.0, "9"])
def test_ids_of_equal_meaning_are_equal(image_id: Any, category_id: Any, file: Any) -> None:
    record = {**RECORD, "image_id": image_id, "category_id": category_id, "score": "0.05", "bbox": ["1", 2, "3", 4.5]}
    _, found = read_results(file([record]), IMAGES, CELLS).detections
    assert (found.labels.tolist(), found.scores.tolist(), found.boxes_xywh.tolist()) == ([2], [0.05], [[1, 2, 3, 4.5]])


@pytest.mark.parametrize("image_id", [10**20 + 3, "3f2a-uuid", "007"])
def test_ids_of_any_size_and_text_are_found(image_id: Any, file: Any) -> None:
    images = [NamedImage(7, Path("a.jpg"), SIZE), NamedImage(image_id, Path("b.jpg"), SIZE)]
    found = read_results(file([{**RECORD, "image_id": image_id}]), images, CELLS).detections
    assert [len(one.scores) for one in found] == [0, 1]


@pytest.mark.parametrize("ids", [["a.jpg", "b.jpg"], ["a", "b"]])
def test_file_names_in_place_of_ids_are_taken_where_all_are(ids: list[str], file: Any) -> None:
    results = read_results(file([{**RECORD, "image_id": one} for one in ids]), IMAGES, CELLS)
    assert [len(one.scores) for one in results.detections] == [1, 1]
    assert f"its image ids are file names, such as {ids[0]}" in results.notes[0]
    with pytest.raises(DatasetError, match=r'E134 .*2 of its 2 image ids .*e\.g\. "a", "z"; the data has the ids 5, 3'):
        read_results(file([{**RECORD, "image_id": one} for one in ("a", "z")]), IMAGES, CELLS)


@pytest.mark.parametrize("key", ["predictions", "annotations", "detections"])
def test_the_only_list_of_an_object_is_taken(key: str, file: Any) -> None:
    for content in ({key: [RECORD], "info": {"by": "me"}}, json.dumps({"n": 1, key: [RECORD]}, indent=2)):
        results = read_results(file(content), IMAGES, CELLS)
        assert [len(one.scores) for one in results.detections] == [0, 1]
        assert f"the 1 records under '{key}' are its detections" in results.notes[0]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("value", [nested(400), "x" * 100_000, 10**4000, [1] * 1000, {"x" * 500: 1}, True, None])
@pytest.mark.parametrize(
    ("record", "key"),
    [
        *((RECORD, key) for key in ("image_id", "category_id", "bbox", "score")),
        *((LINE, key) for key in ("image", "width", "detections")),
        *((DETECTION, key) for key in ("box", "score", "label")),
    ],
)
def test_a_value_of_any_length_and_depth_is_reported_in_a_line(
    record: dict[str, Any], key: str, value: Any, file: Any
) -> None:
    changed = {**record, key: value}
    content = [changed] if record is RECORD else changed if record is LINE else {**LINE, "detections": [changed]}
    with pytest.raises(DatasetError, match=r"^E1") as caught:
        read_results(file(content), IMAGES, CELLS)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


def test_a_split_with_few_images_in_the_file_is_reported(file: Any) -> None:
    images = [*IMAGES, NamedImage(4, Path("c.jpg"), SIZE)]
    results = read_results(file([RECORD]), images, CELLS)
    assert "2 of 3 images have no detections in it; another split: --split" in results.notes[0]


def test_a_mark_of_utf16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(json.dumps([RECORD]).encode("utf-16"))
    assert is_results_file(path)
    assert [len(one.scores) for one in read_results(path, IMAGES, CELLS).detections] == [0, 1]


def test_separators_of_lines_inside_names_part_no_lines(file: Any) -> None:
    line = json.dumps({**LINE, "image": "cells/\u2028/b.jpg"}, ensure_ascii=False)
    assert [len(one.scores) for one in read_results(file(line, ""), IMAGES, CELLS).detections] == [0, 1]


def test_lines_about_other_images_and_missing_images_are_noted(file: Any) -> None:
    results = read_results(file(LINE, {**LINE, "image": "cells/images/z.jpg"}), IMAGES, CELLS)
    assert "images that are not in this split, left out: 1, e.g. cells/images/z.jpg" in results.notes[0]
    assert "1 of 2 images of this split have no line" in results.notes[1]


def test_files_without_low_scores_are_noted(file: Any) -> None:
    results = read_results(file([{**RECORD, "score": 0.5}]), IMAGES, CELLS)
    assert "the lowest score is 0.50" in results.notes[0]
    assert not read_results(file([RECORD]), IMAGES, CELLS).notes


# ---- what is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (['[{"image_id": 3,'], "E102 .* line 1 column .* was the copy interrupted"),
        (["[", ' {"image_id" 3}', "]"], "E102 .* line 2 column 14: Expecting ':' delimiter"),
        ([LINE, '{"image": "a.jpg", '], "E102 .* line 2 column"),
        (
            [[{"id": 1}]],
            "E103 .* record 1 is not a COCO detection, it has no 'image_id', 'category_id', 'bbox'",
        ),
        ([[3]], "E103 .* record 1 is not a COCO detection"),
        ([{"images": [], "annotations": []}], "E103 .* ground truth"),
        (["{", '"images": [], "annotations": []}'], "E103 .* ground truth"),
        ([{"a": 1}], "E103 .* line 1 is not a line of 'predict --json', it has no 'image', 'detections'"),
        ([{**LINE, "detections": {}}], "E103 .* 'detections' must be a list"),
        (
            [[{**RECORD, "image_id": i} for i in (3, 21, 22, 23, 24, 25, 26)]],
            "E134 .* 6 of its 7 image .* 25 and 1 more;",
        ),
        ([[{**RECORD, "image_id": [3]}]], "E134"),
        ([{**LINE, "image": "z.jpg"}], "E134 .* z.jpg"),
        ([[{**RECORD, "category_id": 1}]], r"E112 .* none of the data's: 1; the data has red \(7\), white \(9\)"),
        ([[{**RECORD, "category_id": 8}]], "E112"),
        ([{**LINE, "detections": [{**DETECTION, "label": "blue"}]}], 'E112 .* none of the data\'s: "blue"'),
        ([[{**RECORD, "bbox": [1, 2, 3]}]], "E118 .* record 1: a box must be four finite numbers"),
        (['[{"image_id": 3, "category_id": 9, "score": 1, "bbox": [1, 2, NaN, 4]}]'], "E118 .* NaN"),
        ([[{**RECORD, "bbox": "1 2 3 4"}]], "E118"),
        ([[{**RECORD, "score": None}]], "E118 .* 'score' must be a finite number, not null"),
        ([[{**RECORD, "bbox": [9, 9, -3, 4]}]], r"E107 .* order must be \[x, y, width, height\]"),
        ([{**LINE, "detections": [{**DETECTION, "box": [9, 9, 3, 4]}]}], r"E107 .* order must be \[x1, y1, x2, y2\]"),
        ([{**LINE, "detections": [{"box": [1, 2, 3, 4]}]}], "E103 .* it has no 'score', 'label'"),
        ([{**LINE, "width": 320}], "E106 .* 320x480 there but 640x480"),
        ([LINE, LINE], "lines 1 and 2 are about the same image"),
        (["[" * 100_000], "E102 .* nested too deeply"),
        (['{"image_id": ' * 100_000], "E102 .* nested too deeply"),
        (["[" + "9" * 5000 + "]"], "E102 .* thousands of digits"),
        (['[{"image_id": 3, "image_id": 5, "category_id": 9, "bbox": [1, 2, 3, 4], "score": 1}]'], "E102 .* twice"),
        ([[{**RECORD, "score": "high"}]], "E118"),
        ([[{**RECORD, "score": 10**400}]], "E118"),
        ([[{**RECORD, "bbox": [10**400, 2, 3, 4]}]], "E118"),
        ([[{**RECORD, "image_id": True}]], "E134"),
        ([[{**RECORD, "category_id": "white"}]], 'E112 .* none of the data\'s: "white"'),
        ([{"a": [RECORD], "b": [RECORD]}], "E103"),
    ],
)
def test_bad_files_are_reported_in_one_line(content: list[Any], message: str, file: Any) -> None:
    with pytest.raises(DatasetError, match=message) as raised:
        read_results(file(*content), IMAGES, CELLS)
    assert "\n" not in str(raised.value)
    assert "results.json" in str(raised.value)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(b"[\xff\xfe")
    with pytest.raises(DatasetError, match=r"E102 .*results\.json is not text in UTF-8: byte 1"):
        read_results(path, IMAGES, CELLS)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"image_id": 3}]', True),
        (b"\xef\xbb\xbf\n [] ", True),
        (b'{"image": "a.jpg"}', True),
        (b"", False),
        (b"model: small\n", False),
        (b"\x7b\x00\x00\x00\x00\x00\x00\x00{}", False),
        (b"PK\x03\x04", False),
    ],
)
def test_results_are_recognised_by_their_content(content: bytes, expected: bool, tmp_path: Path) -> None:
    path = tmp_path / "some.file"
    path.write_bytes(content)
    assert is_results_file(path) is expected


def test_folders_and_absent_files_are_not_results(tmp_path: Path) -> None:
    assert not is_results_file(tmp_path)
    assert not is_results_file(tmp_path / "absent.json")
