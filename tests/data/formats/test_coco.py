"""COCO JSON: hand-written files, and the property that ids are only names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.evaluation.coco import TruthOfImage, measure
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Detections, ImageSize


def write(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def save_images(folder: Path, *names: str, size: tuple[int, int] = (100, 80)) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size).save(folder / name)


def picture(number: int, name: str) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 100, "height": 80}


def box(number: int, image: int, category: int, *bbox: float, **more: Any) -> dict[str, Any]:
    return {"id": number, "image_id": image, "category_id": category, "bbox": list(bbox), **more}


def small_set(root: Path, ids: Sequence[int] = (3, 7)) -> None:
    save_images(root / "images", "a.png", "b.png", "c.png")
    write(
        root / "annotations" / "train.json",
        categories=[{"id": ids[1], "name": "dog"}, {"id": ids[0], "name": "cat"}],
        images=[picture(30, "c.png"), picture(10, "a.png"), picture(20, "b.png")],
        annotations=[
            box(1, 10, ids[0], 10, 20, 30, 40),
            box(2, 10, ids[1], 0, 0, 100, 80, area=17.5),
            box(3, 20, ids[1], 1.5, 2.5, 3, 4, iscrowd=1),
        ],
    )


def test_a_small_set_by_hand(tmp_path: Path) -> None:
    small_set(tmp_path)
    dataset = load_dataset(tmp_path, DataConfig())
    assert dataset.format == "COCO JSON"
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "dog"), (3, 7))
    train = dataset.splits["train"]
    by_name = {record.file_name: record for record in train.records}
    assert {name: record.image_id for name, record in by_name.items()} == {"a.png": 10, "b.png": 20, "c.png": 30}
    first = by_name["a.png"]
    # [10, 20, 30, 40] as x, y, width, height: x2 = 10 + 30, y2 = 20 + 40
    assert first.truth.boxes.tolist() == [[10, 20, 40, 60], [0, 0, 100, 80]]
    assert first.truth.labels.tolist() == [0, 1]
    assert first.truth.ignored.tolist() == [False, False]
    assert first.areas.tolist() == [1200, 17.5]  # 30 * 40, and the one that the file gives
    assert first.size == ImageSize(80, 100)
    assert by_name["b.png"].truth.boxes.tolist() == [[1.5, 2.5, 4.5, 6.5]]
    assert by_name["b.png"].truth.ignored.tolist() == [True]
    assert train.notes[0].startswith("train: COCO JSON from train.json: 3 images (1 without objects, kept), 3 boxes")
    assert "(1 of them ignored" in train.notes[0]


def test_an_image_without_objects_is_kept_with_empty_truth(tmp_path: Path) -> None:
    small_set(tmp_path)
    empty = next(one for one in load_dataset(tmp_path, DataConfig()).splits["train"].records if one.image_id == 30)
    assert empty.truth.boxes.shape == (0, 4)
    assert empty.truth.labels.dtype == torch.int64
    assert empty.truth.ignored.dtype == torch.bool
    assert empty.areas.shape == (0,)


@given(ids=st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=2, unique=True))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_class_ids_are_only_names(tmp_path: Path, ids: list[int]) -> None:
    """Ids from 0, from 1, with holes, negative or huge give the same truth, and every id is kept."""
    small_set(tmp_path, sorted(ids))
    dataset = load_dataset(tmp_path, DataConfig())
    labels = {record.file_name: record.truth.labels.tolist() for record in dataset.splits["train"].records}
    assert labels == {"a.png": [0, 1], "b.png": [1], "c.png": []}
    assert [dataset.classes.ids[label] for label in (0, 1)] == sorted(ids)
    assert [dataset.classes.ids.index(number) for number in sorted(ids)] == [0, 1]


def test_ids_written_as_text_are_read(tmp_path: Path) -> None:
    small_set(tmp_path)
    file = tmp_path / "annotations" / "train.json"
    content = json.loads(file.read_text())
    for entry in content["annotations"]:
        entry["category_id"] = str(entry["category_id"])
        entry["image_id"] = float(entry["image_id"])
    write(file, **content)
    assert sum(len(one.truth.labels) for one in load_dataset(tmp_path, DataConfig()).splits["train"].records) == 3


def test_difficult_and_ignore_keys_have_no_effect(tmp_path: Path) -> None:
    """As in pycocotools: only ``iscrowd`` has an effect."""
    save_images(tmp_path / "images", "a.png")
    entry = box(1, 1, 1, 1, 1, 5, 5, difficult=1, ignore=1)
    write(
        tmp_path / "train.json", categories=[{"id": 1, "name": "x"}], images=[picture(1, "a.png")], annotations=[entry]
    )
    record = load_dataset(tmp_path, DataConfig()).splits["train"].records[0]
    assert record.truth.ignored.tolist() == [False]


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/{}.json", "images"),
        ("annotations/instances_{}2017.json", "{}2017"),
        ("{}.json", "images/{}"),
        ("{}/_annotations.coco.json", "{}"),
    ],
)
def test_usual_layouts_are_recognised(tmp_path: Path, annotations: str, images: str) -> None:
    for split, on_disk in (("train", "train"), ("val", "valid" if "_ann" in annotations else "val")):
        name = f"{split}.png"
        save_images(tmp_path / images.format(on_disk), name)
        write(
            tmp_path / annotations.format(on_disk),
            categories=[{"id": 1, "name": "x"}],
            images=[picture(1, name)],
            annotations=[box(1, 1, 1, 1, 1, 5, 5)],
        )
    dataset = load_dataset(tmp_path, DataConfig())
    assert list(dataset.splits) == ["train", "val"]
    assert dataset.splits["val"].records[0].file_name == "val.png"


def test_roboflows_parent_category_is_skipped_and_reported(tmp_path: Path) -> None:
    save_images(tmp_path / "train", "a.png")
    write(
        tmp_path / "train" / "_annotations.coco.json",
        categories=[
            {"id": 0, "name": "cells", "supercategory": "none"},
            {"id": 1, "name": "red", "supercategory": "cells"},
        ],
        images=[picture(1, "a.png")],
        annotations=[box(1, 1, 1, 1, 1, 5, 5)],
    )
    dataset = load_dataset(tmp_path, DataConfig())
    assert (dataset.classes.names, dataset.classes.ids) == (("red",), (1,))
    assert any("'cells' (id 0)" in note and "skipped" in note for note in dataset.splits["train"].notes)


def test_a_class_with_id_zero_is_a_class(tmp_path: Path) -> None:
    small_set(tmp_path, (0, 1))
    assert load_dataset(tmp_path, DataConfig()).classes.ids == (0, 1)


def test_one_file_alone_is_the_training_split_or_that_of_its_name(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    for name, split in (("cells.json", "train"), ("my_val.json", "val")):
        file = write(
            tmp_path / name,
            categories=[{"id": 1, "name": "x"}],
            images=[picture(1, "a.png")],
            annotations=[box(1, 1, 1, 1, 1, 5, 5)],
        )
        assert list(load_dataset(file, DataConfig()).splits) == [split]


def test_files_without_a_split_in_their_names_must_be_named(tmp_path: Path) -> None:
    small_set(tmp_path)
    folder = tmp_path / "annotations"
    (folder / "train.json").rename(folder / "one.json")
    (folder / "two.json").write_text((folder / "one.json").read_text())
    with pytest.raises(DatasetError, match=r"E101 .*one\.json, two\.json.*--set data\.train=FILE"):
        load_dataset(tmp_path, DataConfig())
    dataset = load_dataset(tmp_path, DataConfig(train="annotations/one.json", val="annotations/two.json"))
    assert list(dataset.splits) == ["train", "val"]


def test_coco_itself(data_folder: Callable[[str], Path]) -> None:
    """COCO's ids have holes (1..90 for 80 classes), crowds, images without objects."""
    dataset = load_dataset(data_folder("coco128"), DataConfig())
    train = dataset.splits["train"]
    assert len(train.records) == 128
    assert (len(dataset.classes), dataset.classes.ids[0], dataset.classes.ids[-1]) == (80, 1, 90)
    assert sum(int(record.truth.ignored.sum()) for record in train.records) == 10
    assert sum(len(record.truth.labels) for record in train.records) == 939
    assert sum(len(record.truth.labels) == 0 for record in train.records) == 2
    genuine = {
        (entry["image_id"], entry["category_id"], *entry["bbox"])
        for entry in json.loads((data_folder("coco128") / "annotations" / "train.json").read_text())["annotations"]
    }
    for record in train.records:
        for corners, label in zip(record.truth.boxes.double(), record.truth.labels, strict=True):
            x1, y1, x2, y2 = corners.tolist()
            key = (record.image_id, dataset.classes.ids[int(label)])
            assert any(
                entry[:2] == key
                and max(abs(entry[2] - x1), abs(entry[3] - y1), abs(entry[2] + entry[4] - x2)) < 1e-3
                and abs(entry[3] + entry[5] - y2) < 1e-3
                for entry in genuine
            )


def test_metrics_get_the_digits_of_the_file(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    written = [[0.1, 0.2, 0.7, 1.1], [30.3, 1.0, 10.5, 5.0]]  # the second sticks out by 0.8 and is clipped to 40
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 40}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "bbox": box} for n, box in enumerate(written)],
    }
    (tmp_path / "train.json").write_text(json.dumps(content))
    record = load_dataset(tmp_path / "train.json", DataConfig()).splits["train"].records[0]
    assert record.boxes_xywh.tolist() == [written[0], [30.3, 1.0, 40 - 30.3, 5.0]]


# ---- ids, names, values


def changed(root: Path, change: Callable[[dict[str, Any]], object], file: str = "annotations/train.json") -> Dataset:
    """Read the small set after a change to its file."""
    small_set(root)
    content = json.loads((root / file).read_text())
    change(content)
    write(root / file, **content)
    return load_dataset(root, DataConfig())


def notes(dataset: Dataset) -> str:
    return "\n".join(dataset.splits["train"].notes)


@pytest.mark.parametrize(
    "new", [lambda n: 10**20 + n, lambda n: f"3f2a-{n}", lambda n: f"00{n}", lambda n: -(2**70) - n]
)
def test_any_integer_or_text_is_an_id_of_an_image(tmp_path: Path, new: Callable[[int], int | str]) -> None:
    def change(content: dict[str, Any]) -> None:
        for entry in content["images"]:
            entry["id"] = new(entry["id"])
        for entry in content["annotations"]:
            entry["image_id"] = new(entry["image_id"])

    train = changed(tmp_path, change).splits["train"]
    assert [(record.image_id, len(record.truth.labels)) for record in train.records] == [
        (new(30), 0),
        (new(10), 2),
        (new(20), 1),
    ]
    truths = [TruthOfImage(one.image_id, one.size, one.truth, one.areas, one.boxes_xywh) for one in train.records]
    empty = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert measure(truths, [empty] * 3, train.classes).truths == 2


@pytest.mark.parametrize("bad", [None, True, 1.5, [3], {}, ""])
def test_invalid_ids_are_refused(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(DatasetError, match=r"E103 .*'images' needs an 'id', an integer or text"):
        changed(tmp_path, lambda content: content["images"][0].update(id=bad))


def test_ids_that_are_equal_by_meaning_are_one_id(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"E113 .*image ids must be unique"):
        changed(tmp_path, lambda content: content["images"][0].update(id="10"))


@pytest.mark.parametrize(
    ("crowd", "ignored"),
    [("0", False), ("False", False), (0.0, False), (None, False), ("1", True), (True, True), ("true", True)],
)
def test_crowds_by_their_meaning(tmp_path: Path, crowd: Any, ignored: bool) -> None:
    dataset = changed(tmp_path, lambda content: content["annotations"][0].update(iscrowd=crowd))
    assert dataset.splits["train"].records[1].truth.ignored.tolist() == [ignored, False]
    assert "iscrowd" not in notes(dataset)


@pytest.mark.parametrize("crowd", ["perhaps", 2, -1, [1]])
def test_crowds_that_are_neither_are_reported(tmp_path: Path, crowd: Any) -> None:
    dataset = changed(tmp_path, lambda content: content["annotations"][0].update(iscrowd=crowd))
    assert dataset.splits["train"].records[1].truth.ignored.tolist() == [False, False]
    line = f"'iscrowd' is neither 0 nor 1, read as 0: 1 (annotation id 1: {json.dumps(crowd)})"
    assert line in notes(dataset)


@pytest.mark.parametrize(
    ("area", "expected", "reported"),
    [
        (17, 17, False),
        ("17.5", 17.5, False),
        (None, 1200, False),
        (0, 1200, True),
        (-5, 1200, True),
        ("big", 1200, True),
        (10**400, 1200, True),
        (float("nan"), 1200, True),
        (True, 1200, True),
    ],
)
def test_areas_by_their_meaning(tmp_path: Path, area: Any, expected: float, reported: bool) -> None:
    dataset = changed(tmp_path, lambda content: content["annotations"][0].update(area=area))
    assert dataset.splits["train"].records[1].areas.tolist() == [expected, 17.5]  # 30 * 40 where it is the box's
    assert ("'area' is no positive number" in notes(dataset)) is reported


@pytest.mark.parametrize("absent", [{}, {"bbox": None}, {"bbox": []}])
def test_the_box_around_an_outline_replaces_an_absent_box(tmp_path: Path, absent: dict[str, Any]) -> None:
    def change(content: dict[str, Any]) -> None:
        for entry in content["annotations"]:
            x, y, width, height = entry.pop("bbox")
            entry["segmentation"] = [[x, y, x + width, y, x + width, y + height]]
            entry.update(absent)

    dataset = changed(tmp_path, change)
    assert dataset.splits["train"].records[1].truth.boxes.tolist() == [[10, 20, 40, 60], [0, 0, 100, 80]]
    assert "without a 'bbox': the box around the 'segmentation' is used: 3 (annotation id 1," in notes(dataset)


def test_a_file_of_captions_is_distinguished_from_one_of_boxes(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"] = [{"id": n, "image_id": 10, "caption": "a cat"} for n in range(4)]

    with pytest.raises(
        DatasetError, match=r"E103 .*none of its 4 annotations has a 'bbox'.*they have: caption, id, im"
    ):
        changed(tmp_path, change)


@pytest.mark.parametrize("written", ["10 20 30 40", {"x": 1, "y": 2, "width": 3, "height": 4}])
def test_a_box_that_is_no_list_is_shown_unchanged(tmp_path: Path, written: Any) -> None:
    dataset = changed(tmp_path, lambda content: content["annotations"][0].update(bbox=written))
    assert f"needs four numbers but has [{json.dumps(written)}]; dropped" in notes(dataset)


@pytest.mark.parametrize(("written", "name"), [(1, "1"), (1.0, "1.0"), (True, "true"), ("no", "no"), ("007", "007")])
def test_class_names_are_kept_as_written(tmp_path: Path, written: Any, name: str) -> None:
    dataset = changed(tmp_path, lambda content: content["categories"][0].update(name=written))
    assert dataset.classes.names == ("cat", name)
    assert ("category names that are not text" in notes(dataset)) is not isinstance(written, str)


@pytest.mark.parametrize("name", [None, "", "  ", [], {}, "half \ud83d"])
def test_invalid_class_names_are_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(DatasetError, match=r"E103 .*'categories' needs an integer 'id' and a 'name'"):
        changed(tmp_path, lambda content: content["categories"][0].update(name=name))


# ---- files


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"images": [], "annotations": [], "categories": [], "n": ' + "9" * 5000 + "}", "thousands of digits"),
        ('{"images": [], "annotations": [], "annotations": [1], "categories": []}', "the key 'annotations' twice"),
        ('{"images": [{"id": 1, "id": 2}], "annotations": [], "categories": []}', "the key 'id' twice"),
        ("", "line 1 column 1"),
        ("{}{}", "Extra data"),
    ],
)
def test_json_that_is_not_read_is_refused_in_one_line(tmp_path: Path, text: str, fragment: str) -> None:
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(DatasetError, match="E102") as caught:
        load_dataset(tmp_path / "train.json", DataConfig())
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_beyond_all_bounds_are_faults_not_crashes(tmp_path: Path) -> None:
    dataset = changed(tmp_path, lambda content: content["annotations"][0].update(bbox=[10**400, 0, 5, 5]))
    assert "boxes clipped or dropped: 1 of 3" in notes(dataset)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("value", ["x" * 100_000, nested(400), {"x" * 1000: [1] * 10_000}, 10**4000, [1] * 100_000])
@pytest.mark.parametrize("key", ["id", "bbox", "iscrowd", "area", "segmentation"])
def test_values_of_any_length_and_depth_are_shown_in_a_line(tmp_path: Path, key: str, value: Any) -> None:
    dataset = changed(tmp_path, lambda content: content["annotations"][0].update({"bbox": [1], key: value}))
    assert max(map(len, notes(dataset).split("\n"))) < 700


@pytest.mark.parametrize("value", [nested(400), "x" * 100_000, 10**4000])
@pytest.mark.parametrize(
    ("part", "key", "code"),
    [("annotations", "category_id", "E112"), ("annotations", "image_id", None), ("categories", "supercategory", None)],
)
def test_unknown_ids_of_any_length_are_shown_in_a_line(
    tmp_path: Path, part: str, key: str, code: str | None, value: Any
) -> None:
    def change(content: dict[str, Any]) -> None:
        content[part][0][key] = value

    if code is None:
        assert max(map(len, notes(changed(tmp_path, change)).split("\n"))) < 700
        return
    with pytest.raises(DatasetError, match=code) as caught:
        changed(tmp_path, change)
    assert len(str(caught.value)) < 700


def test_the_same_key_twice_with_one_value_is_no_fault(tmp_path: Path) -> None:
    small_set(tmp_path)
    file = tmp_path / "annotations" / "train.json"
    file.write_text(file.read_text().replace('"width": 100', '"width": 100, "width": 100'))
    assert len(load_dataset(tmp_path, DataConfig()).splits["train"].records) == 3


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    small_set(tmp_path)
    file = tmp_path / "annotations" / "train.json"
    file.write_bytes(file.read_text().replace("dog", "Zoë").encode(encoding))
    assert load_dataset(tmp_path, DataConfig()).classes.names == ("cat", "Zoë")


def test_other_encodings_are_named(tmp_path: Path) -> None:
    small_set(tmp_path)
    file = tmp_path / "annotations" / "train.json"
    file.write_bytes(file.read_text().replace("dog", "Zoë").encode("cp1252"))
    with pytest.raises(DatasetError, match=r"E102 .*train\.json is not text in UTF-8: byte \d+"):
        load_dataset(tmp_path, DataConfig())


@pytest.mark.parametrize("second", ["a.png", "./a.png", "images\\a.png"])
def test_an_image_that_is_listed_twice_is_reported(tmp_path: Path, second: str) -> None:
    dataset = changed(tmp_path, lambda content: content["images"].append(picture(40, second)))
    line = "images listed more than once: 1 (a.png with the ids 10, 40); the objects of one entry are background"
    assert line in notes(dataset)


@pytest.mark.parametrize(
    ("names", "note"),
    [
        (("Cat", "cat"), "differ in letter case or blanks alone: 'cat' and 'Cat'; they stay apart"),
        (("cat", "cat "), "class names with blanks around them, kept: 'cat '"),
        (("big  cat", "big cat"), "differ in letter case or blanks alone: 'big cat' and 'big  cat'"),
    ],
)
def test_class_names_that_are_alike_stay_apart_and_are_reported(
    tmp_path: Path, names: Sequence[str], note: str
) -> None:
    def change(content: dict[str, Any]) -> None:
        for entry, name in zip(content["categories"], names, strict=True):
            entry["name"] = name

    dataset = changed(tmp_path, change)
    assert set(dataset.classes.names) == set(names)
    assert note in notes(dataset)
