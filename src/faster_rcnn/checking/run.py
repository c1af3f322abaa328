"""One pass over a data set: everything that is wrong with it or worth knowing, and the same data without the faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from faster_rcnn.checking.advice import Anchors, Objects, advice_on, anchors_of, objects_of
from faster_rcnn.checking.box_faults import Sound, judge_boxes
from faster_rcnn.checking.class_names import Classes, class_names
from faster_rcnn.checking.content import Content, read_content
from faster_rcnn.checking.duplicates import Member, duplicates
from faster_rcnn.checking.finding import Finding, by_kind
from faster_rcnn.checking.image_faults import Redraw, Usable, judge_images
from faster_rcnn.checking.notation import Meaning, declared, meaning_of
from faster_rcnn.checking.pictures import Picture, read_pictures
from faster_rcnn.data.boxes import exact_xywh
from faster_rcnn.data.layout.listing import Listing
from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.parsing.values import first_of
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import GroundTruth
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, slots=True, eq=False)
class Checked:
    """A data set that was checked."""

    content: Content
    findings: tuple[Finding, ...]
    """The gravest first."""
    mended: Dataset
    """The usable images with their sound boxes; a split of which nothing is left is not in it."""
    redraws: dict[Path, Redraw]
    """How images are written again in a mended copy; the others are copied."""
    objects: Objects | None
    """The objects of train; ``None`` without that split."""
    anchors: Anchors | None

    @property
    def undecided(self) -> list[Finding]:
        """Errors and warnings that only a person can mend."""
        return [each for each in self.findings if each.level != "remark" and each.change is None]


def check_data(data: Path, config: Config) -> Checked:
    """Check all splits of a data set; nothing is written.

    Args:
        data: folder or file of labelled images.
        config: settings of the data, and those of the image and of the anchors that objects are compared with.

    Raises:
        DatasetError: there is no data set, none of its splits can be read, or it has no class.
        MachineError: a process that reads images ended.
    """
    content = read_content(data, config.data)
    classes = class_names(content.listings)
    folders = content.source.folders
    paths = dict.fromkeys(image.path for each in content.listings.values() for image in each.images)
    present = [path for path in paths if folders.has(path)]
    pictures = dict(zip(present, read_pictures(present, config.data.max_pixels), strict=True))
    findings = [*content.findings, *classes.findings]
    parts = []
    for listing in content.listings.values():
        part, found = _judged(listing, classes, pictures, content)
        parts.append(part)
        findings += found
    found, left = _without_copies(parts)
    splits = {part.listing.split: _split(part, classes) for part in left if part.images}
    mended = Dataset(content.source.root, content.format, classes.map, splits, tuple(splits))
    objects = objects_of(splits["train"], config.image) if "train" in splits else None
    anchors = None if objects is None else anchors_of(objects, config)
    findings += [*found, *_without_objects(objects, splits), *advice_on(splits, anchors, config)]
    ordered = tuple(each for group in by_kind(findings).values() for each in group)
    redraws = {one.image.path: one.redraw for part in left for one, _ in part.images if one.redraw is not None}
    return Checked(content, ordered, mended, redraws, objects, anchors)


def _without_objects(objects: Objects | None, splits: Mapping[str, Split]) -> list[Finding]:
    if objects is None or len(objects.labels):
        return []
    records = splits["train"].records
    ignored = sum(len(record.truth.ignored) for record in records)
    of_these = f", only {ignored:,} that are ignored (crowd or difficult)" if ignored else ""
    value = f"{count_of(len(records), 'image')} without a sound box{of_these}"
    return [Finding("split.no-objects", "train", "", "", value)]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A split without faults of images and boxes."""

    listing: Listing
    meaning: Meaning
    images: tuple[tuple[Usable, tuple[Sound, ...]], ...]


def _judged(
    listing: Listing, classes: Classes, pictures: Mapping[Path, Picture], content: Content
) -> tuple[_Part, list[Finding]]:
    """A split without faults of images and boxes, and findings about these."""
    usable, findings = judge_images(listing, pictures, content.source.folders)
    meaning, found = meaning_of(listing, usable)
    findings += found
    images = []
    trimmed = 0
    for one in usable:
        sound, found, few = judge_boxes(
            one, listing.split, meaning, classes.labels[listing.split], meaning != declared(listing)
        )
        images.append((one, tuple(sound)))
        findings += found
        trimmed += few
    if trimmed:
        findings.append(Finding("box.trimmed", listing.split, "", "", count_of(trimmed, "box", "boxes")))
    return _Part(listing, meaning, tuple(images)), findings


def _without_copies(parts: Sequence[_Part]) -> tuple[list[Finding], list[_Part]]:
    members = [Member(part.listing.split, one) for part in parts for one, _ in part.images]
    findings, dropped = duplicates(members)
    left, start = [], 0
    for part in parts:
        kept = tuple(each for place, each in enumerate(part.images, start) if place not in dropped)
        left.append(_Part(part.listing, part.meaning, kept))
        start += len(part.images)
    return findings, left


def _split(part: _Part, classes: Classes) -> Split:
    records = tuple(_record(one, sound, part.meaning) for one, sound in part.images)
    return Split(part.listing.split, records, classes.map, ())


def _record(one: Usable, sound: Sequence[Sound], meaning: Meaning) -> ImageRecord:
    """The record of an image; boxes that were not changed have all digits of the file."""
    exact = meaning.order == "xywh" and not meaning.shares
    rows = [exact_xywh(each.box, each.corners, "xywh" if exact and not each.changed else "xyxy") for each in sound]
    areas = [
        each.box.area if each.box.area is not None and not each.changed else row[2] * row[3]
        for each, row in zip(sound, rows, strict=True)
    ]
    truth = GroundTruth(
        boxes=torch.tensor([each.corners for each in sound], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([each.label for each in sound], dtype=torch.int64),
        ignored=torch.tensor([each.box.ignored for each in sound], dtype=torch.bool),
    )
    return ImageRecord(
        path=one.image.path,
        file_name=one.image.file_name,
        image_id=one.image.image_id,
        size=one.size,
        truth=truth,
        areas=torch.tensor(areas, dtype=torch.float64),
        boxes_xywh=torch.tensor(rows, dtype=torch.float64).reshape(-1, 4),
    )


def nothing_left(checked: Checked) -> str | None:
    """A line on splits of which no image can be used; ``None`` where each split has some."""
    lost = [split for split in checked.content.listings if split not in checked.mended.splits]
    return f"no image of {first_of(lost)} can be used" if lost else None
