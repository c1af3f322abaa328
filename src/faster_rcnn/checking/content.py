"""Reading of all splits for ``check``: what a reader refuses becomes a finding where the rest can still be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faster_rcnn.checking.coco_content import without_broken_ids
from faster_rcnn.checking.finding import Finding
from faster_rcnn.data.finding import Part
from faster_rcnn.data.formats import coco, coco_files, yolo
from faster_rcnn.data.layout.listing import ListedImage, Listing
from faster_rcnn.data.reading import Source, filled, located
from faster_rcnn.data.unused import unused_pictures
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The splits of a data set as their files list them, and what was found while they were read."""

    source: Source
    format: str
    listings: dict[str, Listing]
    """The splits that could be read."""
    findings: tuple[Finding, ...]


def read_content(data: Path, settings: DataConfig) -> Content:
    """Read all splits of a data set.

    Raises:
        DatasetError: there is no data set, or none of its splits can be read.
    """
    source = located(data, settings)
    listings: dict[str, Listing] = {}
    findings: list[Finding] = []
    refused: list[DatasetError] = []
    for split, part in source.parts.items():
        try:
            listing, found = _listing(source, split, part)
        except DatasetError as error:
            refused.append(error)
            findings.append(Finding("split.unreadable", split, _name(part.sources[0], source), "", str(error)))
            continue
        listings[split], joined = _joined(listing)
        findings += [*found, *joined]
        findings += [Finding("reader.note", split, "", "", note) for note in listing.notes]
    if refused and not listings:
        raise refused[0]
    notes = unused_pictures(source.root, source.is_folder, listings.values(), source.folders) if not refused else []
    findings += [Finding("image.unlisted", "", "", "", note) for note in notes]
    return Content(source, next(iter(source.parts.values())).format, listings, tuple(findings))


def _listing(source: Source, split: str, part: Part) -> tuple[Listing, list[Finding]]:
    """A split, read as leniently as its format allows; raises ``DatasetError`` where that is not enough."""
    settings, file = source.settings, part.sources[0]
    if part.format == coco.FORMAT and not file.is_dir():
        payload, findings = without_broken_ids(coco_files.read_json(file), file, split)
        return filled(coco.listing_of(payload, file, split, source.images, source.folders, source.root)), findings
    if part.format == yolo.FORMAT and part.description is not None:
        required = settings.missing_labels == "error"
        places = part.sources
        return filled(yolo.listed(places, split, part.description, source.images, source.folders, required)), []
    return source.read(split), []


def _joined(listing: Listing) -> tuple[Listing, list[Finding]]:
    """The listing with one entry for each file, which has the boxes of all its entries."""
    entries: dict[str, list[ListedImage]] = {}
    for image in listing.images:
        entries.setdefault(os.path.normpath(image.path), []).append(image)
    if len(entries) == len(listing.images):
        return listing, []
    findings = [
        Finding(
            "image.listed-twice",
            listing.split,
            group[0].file_name,
            f"{listing.source.name} image ids {', '.join(str(image.image_id) for image in group)}",
            f"{len(group)} entries for one file",
            "the entries are joined",
            group[0].path,
        )
        for group in entries.values()
        if len(group) > 1 and group[0].fault is None
    ]
    return replace(listing, images=tuple(_one(group) for group in entries.values())), findings


def _one(group: Sequence[ListedImage]) -> ListedImage:
    return group[0]._replace(boxes=tuple(box for image in group for box in image.boxes))


def _name(path: Path, source: Source) -> str:
    return path.relative_to(source.root).as_posix() if path.is_relative_to(source.root) else str(path)
