"""Writes COCO JSON: ``annotations/train.json`` and so on, which hold every property of a box."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from faster_rcnn.data.formats.written import Splits, Writer, WrittenBox, WrittenImage
from faster_rcnn.structures import ClassMap


def write(root: Path, splits: Splits, classes: ClassMap) -> list[str]:
    """Write a file for each split; ids of the classes are kept."""
    folder = root / "annotations"
    folder.mkdir()
    for split, images in splits.items():
        (folder / f"{split}.json").write_text(json.dumps(content(images, classes)), encoding="utf-8")
    return []


def content(images: Sequence[WrittenImage], classes: ClassMap) -> dict[str, Any]:
    """The object of a file: ``images``, ``annotations`` and ``categories``; detections have a ``score``, too."""
    named = zip(classes.ids, classes.names, strict=True)
    return {
        "images": [
            {"id": each.image_id, "file_name": each.name, "height": each.size.height, "width": each.size.width}
            for each in images
        ],
        "annotations": list(_annotations(images, classes)),
        "categories": [{"id": class_id, "name": name} for class_id, name in named if name is not None],
    }


def _annotations(images: Sequence[WrittenImage], classes: ClassMap) -> Iterator[dict[str, Any]]:
    ids = count(1)
    for image in images:
        for box in image.boxes:
            yield {
                "id": next(ids),
                "image_id": image.image_id,
                "category_id": classes.ids[box.label],
                "bbox": [box.x, box.y, box.width, box.height],
                "area": _area(box),
                "iscrowd": int(box.ignored),
                **({} if box.score is None else {"score": box.score}),
            }


def _area(box: WrittenBox) -> float:
    return box.width * box.height if box.area is None else box.area


COCO = Writer("COCO JSON", lambda split: f"images/{split}", write)
