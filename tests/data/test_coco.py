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

from faster_rcnn.config import DataConfig
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize


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
    """Counted from 0, from 1, with holes, negative, huge: the same truth; and every id comes back."""
    small_set(tmp_path, sorted(ids))
    dataset = load_dataset(tmp_path, DataConfig())
    labels = {record.file_name: record.truth.labels.tolist() for record in dataset.splits["train"].records}
    assert labels == {"a.png": [0, 1], "b.png": [1], "c.png": []}
    assert [dataset.classes.ids[label] for label in (0, 1)] == sorted(ids)
    assert [dataset.classes.label_of(number) for number in sorted(ids)] == [0, 1]


def test_ids_written_as_text_are_read(tmp_path: Path) -> None:
    small_set(tmp_path)
    file = tmp_path / "annotations" / "train.json"
    content = json.loads(file.read_text())
    for entry in content["annotations"]:
        entry["category_id"] = str(entry["category_id"])
        entry["image_id"] = float(entry["image_id"])
    write(file, **content)
    assert sum(len(one.truth.labels) for one in load_dataset(tmp_path, DataConfig()).splits["train"].records) == 3


def test_difficult_and_ignore_keys_change_nothing(tmp_path: Path) -> None:
    """As in pycocotools: only ``iscrowd`` is looked at."""
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


def test_roboflows_parent_category_is_skipped_and_said(tmp_path: Path) -> None:
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


def test_one_file_alone_is_the_training_split_or_what_its_name_says(tmp_path: Path) -> None:
    save_images(tmp_path / "images", "a.png")
    for name, split in (("cells.json", "train"), ("my_val.json", "val")):
        file = write(
            tmp_path / name,
            categories=[{"id": 1, "name": "x"}],
            images=[picture(1, "a.png")],
            annotations=[box(1, 1, 1, 1, 1, 5, 5)],
        )
        assert list(load_dataset(file, DataConfig()).splits) == [split]


def test_files_that_do_not_say_their_split_must_be_named(tmp_path: Path) -> None:
    small_set(tmp_path)
    folder = tmp_path / "annotations"
    (folder / "train.json").rename(folder / "one.json")
    (folder / "two.json").write_text((folder / "one.json").read_text())
    with pytest.raises(DatasetError, match=r"E101 .*one\.json, two\.json.*--set data\.train=FILE"):
        load_dataset(tmp_path, DataConfig())
    dataset = load_dataset(tmp_path, DataConfig(train="annotations/one.json", val="annotations/two.json"))
    assert list(dataset.splits) == ["train", "val"]


def test_coco_as_it_is(data_folder: Callable[[str], Path]) -> None:
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
