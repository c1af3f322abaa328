"""What an annotation file says, before anything is believed: the common form of the four formats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from faster_rcnn.structures import ImageSize

Notation = Literal["xywh", "xyxy", "cxcywh"]
"""Meaning of a box's four numbers: pixels, pixels, shares of the image's width and height (YOLO)."""

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


class ListedBox(NamedTuple):
    """One box as it is written."""

    where: str
    """How the user finds it: ``annotation id 7``, ``object 2 ('cat')``, ``line 3``."""
    written: tuple[object, ...]
    """Its numbers as they stand in the file; anything but four numbers is a fault."""
    category: int | str
    """Class id, or class name where the format has no ids."""
    ignored: bool = False
    area: float | None = None
    """Square pixels of the object's outline where the format has it."""


class ListedImage(NamedTuple):
    """One image as it is listed."""

    file_name: str
    path: Path
    """Where it should be; whether it is there is asked later."""
    image_id: int | str
    """The data's own id, of which only equality counts; 1..N where the format has none."""
    size: ImageSize | None
    """As the annotation claims it."""
    boxes: tuple[ListedBox, ...]
    annotation: str
    """Name of the file that its boxes stand in."""
    fault: str | None = None
    """Why the image cannot be used, where its annotation is already missing or broken."""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """One split as its annotation files list it."""

    format: str
    split: str
    source: Path
    """The file or folder that it was read from."""
    images: tuple[ListedImage, ...]
    notation: Notation
    categories: tuple[tuple[int, str], ...] | None = None
    """Declared ids and names; none where a class exists by being used (VOC, CSV)."""
    parents: frozenset[str] = frozenset()
    """Names that occur as the supercategory of another class."""
    offset: float = 0.0
    """Number of the first pixel; subtracted from the left and upper edge."""
    notes: tuple[str, ...] = ()
    advice: str | None = None
    """Where images were searched, and what helps if none is there."""


def split_of(name: str) -> str | None:
    """Which split a file or folder name speaks of: ``instances_val2017`` is ``val``; none if it speaks of none."""
    words = re.findall(r"[a-z]+", name.lower())
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None
