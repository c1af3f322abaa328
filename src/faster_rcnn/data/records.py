"""Values that describe labelled images: image records with their ground truth, splits, and whole data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from jaxtyping import Float64, Int
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class ImageRecord:
    """One image and its ground truth."""

    path: Path
    file_name: str
    """The name of the image in the data."""
    image_id: int | str
    """The id in the data, of which only equality matters; 1..N by sorted file name where the format has no ids."""
    size: ImageSize
    """Size of the upright image, that is after applying the EXIF orientation."""
    truth: GroundTruth
    """Boxes in pixels of the upright original image."""
    areas: Float64[Tensor, " truths"]
    """Areas in square pixels: COCO's ``area`` (of the object's outline) where the data has it, else that of the box."""
    boxes_xywh: Float64[Tensor, "truths 4"]
    """The boxes of ``truth`` as (x, y, width, height) with all digits of the file, for metrics."""


def with_truths(record: ImageRecord, rows: Tensor, labels: Int[Tensor, " rows"] | None = None) -> ImageRecord:
    """The record with some of its truths, by a mask or by indices, and with other labels for these."""
    truth = record.truth[rows]
    if labels is not None:
        truth = replace(truth, labels=labels)
    return replace(record, truth=truth, areas=record.areas[rows], boxes_xywh=record.boxes_xywh[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The images of one part of the data: ``train``, ``val`` or ``test``."""

    name: str
    records: tuple[ImageRecord, ...]
    classes: ClassMap
    notes: tuple[str, ...]
    """Lines for the user: counts, and what was clipped, dropped, excluded or converted."""
    faults: tuple[str, ...] = ()
    """One line for every dropped box and excluded image; ``notes`` shows the first of each kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """The labelled images of a folder or file, in splits with one class map."""

    root: Path
    format: str
    classes: ClassMap
    splits: dict[str, Split]
    """The splits that were read."""
    found: tuple[str, ...]
    """Names of all splits that exist, read or not."""
    warnings: tuple[str, ...] = ()
    """Lines for the user about faults of the data that do not stop the work."""

    def split(self, name: str | None = None) -> Split:
        """The split to evaluate on: ``name``, or ``test`` where there is one, else ``val``.

        Raises:
            OptionError: there is no such split; the message lists those that exist.
        """
        choices = [name] if name is not None else ["test", "val"]
        for candidate in choices:
            if candidate in self.splits:
                return self.splits[candidate]
        existing = ", ".join(self.found)
        missing = f"no split '{name}'" if name is not None else "neither a test nor a val split"
        raise OptionError(f"{self.root} has {missing}; it has: {existing}. Choose one with --split")


def evenly_spread(items: Sequence[Item], max_items: int) -> list[Item]:
    """Up to ``max_items`` items at even distances, always the same ones: neighbours in a folder are often alike."""
    count = min(max_items, len(items))
    return [items[index * len(items) // count] for index in range(count)]
