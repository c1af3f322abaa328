"""The data of a run is recognised in any place, and every difference is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.data.fingerprint import (
    Fingerprint,
    content_digest,
    content_digests,
    differences,
    fingerprint_of,
    split_digest,
)
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig
from files import coco_folder, image_file

Change = Callable[[dict[str, Any]], object]


def squares(folder: Path) -> Path:
    """Four training images with one box each, one validation image without boxes; classes a, b, c with ids 3, 5, 9."""
    for split, count in (("train", 4), ("val", 1)):
        images = [{"id": n, "file_name": f"{split}{n}.png"} for n in range(count)]
        boxes = [
            {"id": n, "image_id": n, "category_id": (3, 5)[n % 2], "bbox": [n, 1, 20, 10]}
            for n in range(count)
            if split == "train"
        ]
        categories = [{"id": number, "name": name} for number, name in ((3, "a"), (5, "b"), (9, "c"))]
        for n, image in enumerate(images):
            image_file(folder / "images" / str(image["file_name"]), seed=n + (10 if split == "val" else 0))
        file = folder / "annotations" / f"{split}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return folder


def printed(folder: Path) -> Fingerprint:
    return fingerprint_of(load_dataset(folder, DataConfig()))


def changed(folder: Path, change: Change, splits: tuple[str, ...] = ("train", "val")) -> Fingerprint:
    for split in splits:
        file = folder / "annotations" / f"{split}.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
    return printed(folder)


def rename(content: dict[str, Any], names: dict[int, str]) -> None:
    for category in content["categories"]:
        category["name"] = names.get(category["id"], category["name"])


def test_a_folder_that_was_moved_is_the_same_data(tmp_path: Path) -> None:
    before = printed(squares(tmp_path / "here"))
    shutil.move(tmp_path / "here", tmp_path / "there")
    now = printed(tmp_path / "there")
    assert differences(before, now) == ()
    assert now == before == Fingerprint.from_json(json.loads(json.dumps(before.to_json())))
    assert before.classes == ((3, "a"), (5, "b"), (9, "c"))
    assert [image.name for image in before.splits["train"]] == ["train0.png", "train1.png", "train2.png", "train3.png"]


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        (lambda one: rename(one, {9: "d"}), ("class 9 was called 'c' and is called 'd'",)),
        (
            lambda one: rename(one, {3: "b", 5: "a"}),
            ("classes have other ids: 'a' had id 3 and has 5, 'b' had id 5 and has 3",),
        ),
        (lambda one: one["categories"].append({"id": 1, "name": "d"}), ("class 'd' (id 1) is new",)),
        (lambda one: one["categories"].pop(), ("class 'c' (id 9) is gone",)),
        (
            lambda one: (one["categories"].pop(), one["categories"].append({"id": 12, "name": "d"})),
            ("class 'c' (id 9) is gone", "class 'd' (id 12) is new"),
        ),
        (
            lambda one: one["categories"].__setitem__(2, {"id": 8, "name": "c"}),
            ("classes have other ids: 'c' had id 9 and has 8",),
        ),
    ],
)
def test_classes_that_differ_are_named(tmp_path: Path, change: Change, sentences: tuple[str, ...]) -> None:
    before = printed(squares(tmp_path))
    assert differences(before, changed(tmp_path, change)) == sentences


def move_a_box(content: dict[str, Any]) -> None:
    for box in content["annotations"][1:3]:
        box["bbox"][0] += 0.5


def test_boxes_that_differ_are_counted(tmp_path: Path) -> None:
    before = printed(squares(tmp_path / "data"))
    moved = shutil.copytree(tmp_path / "data", tmp_path / "moved")
    expected = ("2 of 4 images of train have other boxes (train1.png, train2.png)",)
    assert differences(before, changed(moved, move_a_box)) == expected
    other = shutil.copytree(tmp_path / "data", tmp_path / "other")
    relabelled = changed(other, lambda one: one["annotations"][0].update(category_id=9), ("train",))
    assert differences(before, relabelled) == ("1 of 4 images of train have boxes of other classes (train0.png)",)
    crowd = changed(tmp_path / "data", lambda one: one["annotations"][3].update(iscrowd=1), ("train",))
    assert differences(before, crowd) == ("1 of 4 images of train have other boxes (train3.png)",)


def test_boxes_in_another_order_are_the_same(tmp_path: Path) -> None:
    squares(tmp_path)
    before = changed(tmp_path, lambda one: [box.update(image_id=0) for box in one["annotations"]])
    assert differences(before, changed(tmp_path, lambda one: one["annotations"].reverse())) == ()


def test_images_that_come_go_or_change_are_named(tmp_path: Path) -> None:
    before = printed(squares(tmp_path))
    (tmp_path / "images" / "train3.png").rename(tmp_path / "images" / "renamed.png")

    def change(content: dict[str, Any]) -> None:
        content["images"][3]["file_name"] = "renamed.png"
        content["images"].pop(0)
        content["annotations"].pop(0)
        content["images"].append({"id": 7, "file_name": "new.png"})

    image_file(tmp_path / "images" / "new.png", seed=7)
    image_file(tmp_path / "images" / "train2.png", seed=8)
    assert differences(before, changed(tmp_path, change, ("train",))) == (
        "1 of 4 images of train are gone (train0.png)",
        "1 of 4 images of train are new (new.png)",
        "1 of 4 images of train have the same name and another content (train2.png)",
    )


def test_splits_and_order_that_differ_are_named(tmp_path: Path) -> None:
    before = printed(squares(tmp_path))
    turned = changed(tmp_path, lambda one: one["images"].reverse(), ("train",))
    assert differences(before, turned) == ("the images of train are in another order, so batches would be others",)
    (tmp_path / "annotations" / "val.json").unlink()
    without = printed(tmp_path)
    assert differences(turned, without) == ("there is no val split any more",)
    assert differences(without, turned) == ("there was no val split before",)


def test_a_test_split_does_not_count(tmp_path: Path) -> None:
    before = printed(squares(tmp_path))
    shutil.copy(tmp_path / "annotations" / "val.json", tmp_path / "annotations" / "test.json")
    assert differences(before, printed(tmp_path)) == ()


BAD_ID = {"version": 1, "classes": [[float("inf"), "cat"]], "splits": {}}


@pytest.mark.parametrize(
    "content", [None, [], {}, {"version": 2}, {"version": 1}, {"version": 1, "classes": 3}, BAD_ID]
)
def test_invalid_records_are_refused(content: object) -> None:
    with pytest.raises(ValueError, match="record of training data"):
        Fingerprint.from_json(content)


def test_files_are_distinguished_by_their_bytes(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).write_text(text)
    found = content_digests(tmp_path / name for name in "abca")
    assert list(found) == [tmp_path / name for name in "abc"]
    assert found[tmp_path / "a"] == found[tmp_path / "b"] != found[tmp_path / "c"]
    with pytest.raises(DatasetError, match=r"E104 .*gone cannot be read: No such file or directory"):
        content_digest(tmp_path / "gone")


def test_the_digest_of_a_split_changes_with_whatever_metrics_depend_on(tmp_path: Path) -> None:
    def digest(name: str, change: Callable[[dict[str, Any]], None] = lambda content: None) -> str:
        data = coco_folder(tmp_path / name, [[(0, 5, 5, 30, 20), (1, 0, 0, 12, 12)], []])
        [file] = (data / "annotations").iterdir()
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        return split_digest(load_dataset(data, DataConfig()).splits["test"])

    def moved(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"][0] += 1

    def of_smaller_outline(content: dict[str, Any]) -> None:
        content["annotations"][0]["area"] -= 1

    def crowded(content: dict[str, Any]) -> None:
        content["annotations"][0]["iscrowd"] = 1

    def of_another_id(content: dict[str, Any]) -> None:
        content["images"][1]["id"] = 99

    def of_another_class(content: dict[str, Any]) -> None:
        content["annotations"][0]["category_id"] = content["annotations"][1]["category_id"]

    same = digest("same")
    assert digest("copy") == same
    changes = (moved, of_smaller_outline, crowded, of_another_id, of_another_class)
    assert len({same, *(digest(change.__name__, change) for change in changes)}) == 6
