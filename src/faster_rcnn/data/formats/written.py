"""What the writers of all formats take: images with boxes, which are the truths of a data set or detections."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap, ImageSize

_NOT_HELD = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class WrittenBox:
    """One box in continuous pixels of the upright image."""

    x: float
    y: float
    width: float
    height: float
    label: int
    """Index of the class, 0..K-1."""
    ignored: bool = False
    """A crowd (COCO) or a difficult object (VOC)."""
    area: float | None = None
    """Square pixels of the object's outline; ``None``: those of the box."""
    score: float | None = None
    """The score of a detection, 0..1; a truth has none."""

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """``(x1, y1, x2, y2)``."""
        return self.x, self.y, self.x + self.width, self.y + self.height


@dataclass(frozen=True, slots=True)
class WrittenImage:
    """One image of a split."""

    name: str
    """File name without folders; its stem is that of no other image of the data."""
    image_id: int
    size: ImageSize
    """Size of the upright image."""
    boxes: tuple[WrittenBox, ...]


Splits = Mapping[str, Sequence[WrittenImage]]
"""The images of each split."""


@dataclass(frozen=True, slots=True)
class Writer:
    """A format that labelled images can be written in."""

    title: str
    images: Callable[[str], str]
    """The folder of a split's images, relative to that of the data."""
    write: Callable[[Path, Splits, ClassMap], list[str]]
    """Writes the annotations of all splits into an existing folder; returns lines on what the format cannot hold."""


def left_out(splits: Splits, format_name: str) -> list[str]:
    """A line on ignored boxes, for a format without a mark for them."""
    ignored = sum(box.ignored for images in splits.values() for image in images for box in image.boxes)
    if not ignored:
        return []
    return [
        f"ignored regions (crowd, difficult) left out, since {format_name} has no mark for them and they would be read "
        f"as ordinary objects: {ignored:,}"
    ]


def unused_classes(splits: Splits, classes: ClassMap, format_name: str) -> list[str]:
    """A line on classes without a box, which a format without a list of classes cannot hold."""
    used = {box.label for images in splits.values() for image in images for box in image.boxes}
    lost = [name for label, name in enumerate(classes.names) if label not in used and name is not None]
    if not lost:
        return []
    return [f"classes without a box are lost, since {format_name} has no list of classes: {first_of(lost)}"]


def held(text: str) -> str:
    r"""A name with ``_`` for control characters and for bytes that are not UTF-8, which no XML and no table holds.

    >>> held("a\tb")
    'a_b'
    """
    return _NOT_HELD.sub("_", text)


def with_held_names(classes: ClassMap, format_name: str) -> tuple[ClassMap, list[str]]:
    """The classes under names that a format without escapes holds and its reader keeps, and a line on new names."""
    names: list[str | None] = []
    for name in classes.names:
        new = None if name is None else held(name.strip())
        while new is not None and new in names:
            new += "_"
        names.append(new)
    pairs = zip(classes.names, names, strict=True)
    renamed = [f"{before!a} is {after!a}" for before, after in pairs if before != after]
    notes = [f"class names changed, since {format_name} cannot hold them: {first_of(renamed)}"] if renamed else []
    return ClassMap(tuple(names), classes.ids), notes


def number(value: float) -> str:
    """A number of pixels with at most four decimals: ``12.5``, ``3``."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
