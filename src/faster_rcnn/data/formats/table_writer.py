"""Writes CSV: ``train.csv`` and so on, with a row for each box."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from faster_rcnn.data.formats.written import (
    Splits,
    Writer,
    WrittenImage,
    left_out,
    number,
    unused_classes,
    with_held_names,
)
from faster_rcnn.structures import ClassMap

COLUMNS = ("image", "xmin", "ymin", "xmax", "ymax", "label")


def write(root: Path, splits: Splits, classes: ClassMap) -> list[str]:
    """Write a table for each split; an image without a box has a row with empty cells."""
    classes, changed = with_held_names(classes, "CSV")
    for split, images in splits.items():
        has_scores = any(box.score is not None for image in images for box in image.boxes)
        with (root / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow((*COLUMNS, "score") if has_scores else COLUMNS)
            for image in images:
                rows.writerows(_rows(image, f"images/{split}/{image.name}", classes, has_scores))
    return [*changed, *left_out(splits, "CSV"), *unused_classes(splits, classes, "CSV")]


def _rows(image: WrittenImage, name: str, classes: ClassMap, has_scores: bool) -> Iterator[tuple[str, ...]]:
    """A row for each box, or one with empty cells; a detection without its score has an empty cell, too."""
    boxes = [box for box in image.boxes if not box.ignored]
    for box in boxes:
        score = (f"{box.score:.6g}" if box.score is not None else "",) if has_scores else ()
        yield (name, *map(number, box.corners), classes.name_of(box.label), *score)
    if not boxes:
        yield (name, *[""] * (len(COLUMNS) - 1 + has_scores))


CSV = Writer("CSV", lambda split: f"images/{split}", write)
