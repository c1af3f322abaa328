"""Repeated ids and orphans of a COCO file, and the content without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faster_rcnn.checking.coco_content import without_broken_ids

SOURCE = Path("data/train.json")


def content(images: list[Any], annotations: list[Any]) -> dict[str, Any]:
    return {"images": images, "annotations": annotations, "categories": []}


def test_sound_content_stays_as_it_is() -> None:
    sound = content([{"id": 1, "file_name": "a.jpg"}], [{"id": 5, "image_id": 1}, {"image_id": "1"}])
    assert without_broken_ids(sound, SOURCE, "train") == (sound, [])


def test_an_id_of_two_files_leaves_both_out_and_of_one_file_joins_them() -> None:
    images = [
        {"id": 1, "file_name": "a.jpg"},
        {"id": 1, "file_name": "b.jpg"},
        {"id": 2, "file_name": "c.jpg"},
        {"id": 2, "file_name": "c.jpg"},
    ]
    annotations = [{"id": 5, "image_id": 1}, {"id": 6, "image_id": 2}]
    rest, findings = without_broken_ids(content(images, annotations), SOURCE, "train")
    assert (rest["images"], rest["annotations"]) == ([images[2]], [annotations[1]])
    assert [(each.kind, each.record, each.value) for each in findings] == [
        ("id.image-twice", "train.json image id 1", "the id of a.jpg, b.jpg"),
        ("id.image-twice", "train.json image id 2", "the id of c.jpg"),
    ]
    assert findings[0].change == "the images and their annotations are left out"
    assert findings[1].change == "the entries are joined"


def test_orphans_are_left_out_and_repeated_annotation_ids_are_named() -> None:
    annotations = [{"id": 5, "image_id": 1}, {"id": 5, "image_id": 1}, {"id": 6, "image_id": 9}, 7]
    rest, findings = without_broken_ids(content([{"id": 1, "file_name": "a.jpg"}], annotations), SOURCE, "val")
    assert rest["annotations"] == [annotations[0], annotations[1], 7]  # the reader refuses 7 with its own message
    assert [(each.kind, each.record) for each in findings] == [
        ("id.orphan", "train.json annotation id 6"),
        ("id.annotation-twice", "train.json annotation id 5"),
    ]
