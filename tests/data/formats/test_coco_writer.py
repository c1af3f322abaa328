"""COCO JSON as it is written: every property of a box, and the ids of the classes."""

from __future__ import annotations

import json
from pathlib import Path

from faster_rcnn.data.formats.coco_writer import COCO, content
from written_images import CLASSES, FOUND, SPLITS


def test_every_property_is_written(tmp_path: Path) -> None:
    assert COCO.write(tmp_path, SPLITS, CLASSES) == []
    train = json.loads((tmp_path / "annotations" / "train.json").read_text())
    assert train["images"] == [{"id": 3, "file_name": "a.png", "height": 40, "width": 60}]
    cat, crowd, dog = train["annotations"]
    assert cat == {"id": 1, "image_id": 3, "category_id": 1, "bbox": [10.25, 20, 5.5, 8], "area": 30, "iscrowd": 0}
    assert (crowd["iscrowd"], crowd["area"], dog["category_id"], dog["id"]) == (1, 2400, 5, 3)
    assert train["categories"] == [{"id": 1, "name": "cat"}, {"id": 5, "name": "wild, dog"}, {"id": 7, "name": "bus"}]
    val = json.loads((tmp_path / "annotations" / "val.json").read_text())
    assert (len(val["images"]), val["annotations"]) == (1, [])


def test_detections_have_their_score() -> None:
    [found] = content(FOUND["val"], CLASSES)["annotations"]
    assert (found["score"], found["category_id"]) == (0.75, 7)
