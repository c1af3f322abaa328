"""Writes YOLO: ``data.yaml``, ``images/train/`` and ``labels/train/`` with a text file for each image, and so on."""

from __future__ import annotations

from pathlib import Path, PurePath

import yaml

from faster_rcnn.data.formats.written import Splits, Writer, WrittenBox, WrittenImage, left_out
from faster_rcnn.structures import ClassMap

DIGITS = 9
"""Decimals of a share of the image's side; of 16,777,216 pixels half a unit of the last one is 0.008."""


def write(root: Path, splits: Splits, classes: ClassMap) -> list[str]:
    """Write a label file for each image, which is empty where it has no box, and the description of the data."""
    for split, images in splits.items():
        folder = root / "labels" / split
        folder.mkdir(parents=True)
        for image in images:
            lines = [line_of(box, image) for box in image.boxes if not box.ignored]
            (folder / f"{PurePath(image.name).stem}.txt").write_text("".join(lines), encoding="utf-8")
    description = {
        **{split: f"images/{split}" for split in splits},
        "names": {label: classes.name_of(label) for label in range(len(classes))},
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
    (root / "data.yaml").write_text(text, encoding="utf-8")
    return [*left_out(splits, "YOLO"), *_other_ids(classes)]


def line_of(box: WrittenBox, image: WrittenImage) -> str:
    """``class cx cy width height``, as shares of the image's width and height."""
    height, width = image.size
    shares = (box.x + box.width / 2) / width, (box.y + box.height / 2) / height, box.width / width, box.height / height
    return f"{box.label} {' '.join(f'{each:.{DIGITS}f}' for each in shares)}\n"


def _other_ids(classes: ClassMap) -> list[str]:
    if classes.ids == tuple(range(len(classes))):
        return []
    first = classes.name_of(0)
    return [f"classes are numbered from 0, as YOLO has them: '{first}' is 0, and was {classes.ids[0]}"]


YOLO = Writer("YOLO", lambda split: f"images/{split}", write)
