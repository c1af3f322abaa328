"""The unchecked content of annotation files: the form that the readers of all four formats return."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ImageSize

Notation = Literal["xywh", "xyxy", "cxcywh"]
"""Meaning of a box's four numbers: pixels (xywh, xyxy), or shares of the image's width and height (cxcywh, YOLO)."""

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


class Fault(NamedTuple):
    """A fault of an image or a box: its code and its line for the user."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class ListedBox(NamedTuple):
    """One box as it is written in the file."""

    where: str
    """Place of the box for the user: ``annotation id 7``, ``object 2 ('cat')``, ``line 3``."""
    written: tuple[object, ...]
    """Values of the box as in the file; anything but four numbers is a fault."""
    category: int | str
    """Class id, or class name where the format has no ids."""
    ignored: bool = False
    area: float | None = None
    """Square pixels of the object's outline where the format has it."""


class ListedImage(NamedTuple):
    """One image as the annotations list it."""

    file_name: str
    path: Path
    """Expected place of the image; whether it exists is checked later."""
    image_id: int | str
    """The id in the data, of which only equality matters; 1..N where the format has no ids."""
    size: ImageSize | None
    """The size in the annotation, unchecked."""
    boxes: tuple[ListedBox, ...]
    annotation: str
    """Name of the file with the boxes of the image."""
    fault: Fault | None = None
    """The reason why the image cannot be used, where its annotation is missing or broken."""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """One split as its annotation files list it."""

    format: str
    split: str
    source: Path
    """The file or folder that the split was read from."""
    images: tuple[ListedImage, ...]
    notation: Notation
    categories: tuple[tuple[int, str], ...] | None = None
    """Declared ids and names; ``None`` where the boxes define the classes (VOC, CSV)."""
    parents: frozenset[str] = frozenset()
    """Names that are the supercategory of some class."""
    offset: float = 0.0
    """Number of the first pixel; subtracted from the left and upper edge."""
    notes: tuple[str, ...] = ()
    advice: str | None = None
    """The places where images were searched, and a remedy if none is found."""


def split_of(name: str) -> str | None:
    """The split in a file or folder name: ``instances_val2017`` is ``val``; ``None`` without one, or with several."""
    words = re.findall(r"[a-z]+", name.lower())
    found = {SPLITS[word] for word in words if word in SPLITS}
    return found.pop() if len(found) == 1 else None


def by_split(named: Iterable[tuple[str | None, Path]]) -> dict[str, list[Path]]:
    """Files by the split that each is given with; those without a split are left out."""
    splits: dict[str, list[Path]] = defaultdict(list)
    for split, file in named:
        if split is not None:
            splits[split].append(file)
    return dict(splits)


def several_files(files: Sequence[Path], root: Path, split: str) -> DatasetError:
    """The error for several files of a data set that may each be the split that is needed (E101)."""
    names = first_of(file.relative_to(root).as_posix() for file in files)
    return DatasetError(f"{names} in {root} may be the {split} split; choose one: --set data.{split}=FILE", code="E101")
