"""What a reader gives: images with their truth, in splits, under one class map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jaxtyping import Float64
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One image and what an annotator drew in it."""

    path: Path
    file_name: str
    """As the data names it."""
    image_id: int | str
    """The data's own id, of which only equality counts; 1..N by sorted file name where the format has none."""
    size: ImageSize
    """Upright, that is after the EXIF orientation."""
    truth: GroundTruth
    """In the pixels of the upright original."""
    areas: Float64[Tensor, " truths"]
    """Square pixels: COCO's ``area`` (of the object's outline) where the data has it, else that of the box."""
    boxes_xywh: Float64[Tensor, "truths 4"]
    """The boxes of ``truth`` as (x, y, width, height) with the digits of the file, for metrics."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The images of one part of the data: ``train``, ``val`` or ``test``."""

    name: str
    records: tuple[ImageRecord, ...]
    classes: ClassMap
    notes: tuple[str, ...]
    """Lines for the user: counts, and whatever was clipped, dropped, excluded or converted."""
    faults: tuple[str, ...] = ()
    """Every single dropped box and excluded image; ``notes`` shows the first of each kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Labelled images as they were found."""

    root: Path
    format: str
    classes: ClassMap
    splits: dict[str, Split]
    """Those that were read."""
    found: tuple[str, ...]
    """Names of all splits that there are."""
    warnings: tuple[str, ...] = ()
    """Lines for the user about what is wrong with the data and does not stop the work."""

    def split(self, name: str | None = None) -> Split:
        """The split to evaluate on: ``name``, or ``test`` where there is one, else ``val``.

        Raises:
            OptionError: there is no such split; says which exist.
        """
        wanted = [name] if name is not None else ["test", "val"]
        for candidate in wanted:
            if candidate in self.splits:
                return self.splits[candidate]
        existing = ", ".join(self.found)
        missing = f"no split '{name}'" if name is not None else "neither a test nor a val split"
        raise OptionError(f"{self.root} has {missing}; it has: {existing}. Choose one with --split")


def evenly_spread(items: Sequence[Item], max_items: int) -> list[Item]:
    """Up to ``max_items`` items at even distances, always the same ones: neighbours in a folder are often alike."""
    count = min(max_items, len(items))
    return [items[index * len(items) // count] for index in range(count)]
