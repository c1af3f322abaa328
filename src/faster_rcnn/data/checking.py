"""Checks of listed images and boxes: images must exist and decode, boxes must be inside them.

Single faults are listed, and the work continues. Many faults point to an error of the data as a whole and stop it: at
most 5 % of the images may be excluded and 1 % of the boxes clipped or dropped, always at least one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

import torch

from faster_rcnn.data.boxes import (
    Corners,
    Judgement,
    PlacedBox,
    exact_xywh,
    judge,
    refuse_other_notation,
    refuse_other_units,
)
from faster_rcnn.data.damage import MAX_LEFT_OUT_PERCENT, max_left_out
from faster_rcnn.data.decode import ImageHeader, image_header, is_whole
from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.layout.listing import Fault, ListedBox, ListedImage, Listing, Notation
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.errors import DatasetError, ImageError
from faster_rcnn.parsing.values import cut, first_of
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize

_LOG = logging.getLogger(__name__)

_MAX_SHOWN = 20
"""Maximum number of faults of each kind in the notes; all are in ``Split.faults``, and the others in the debug log."""


def check(
    listing: Listing, classes: ClassMap, labels: dict[int | str, int], folders: Folders, max_pixels: int
) -> Split:
    """Check a listing against its images and make it a split.

    Raises:
        DatasetError: more images or boxes have faults than are allowed, or their faults have a pattern.
    """
    usable, image_faults = _usable_images(listing, folders, max_pixels)
    placed = [[PlacedBox(box, image, header.size) for box in image.boxes] for image, header in usable]
    everything = [one for boxes in placed for one in boxes]
    judged = [[judge(one, listing) for one in boxes] for boxes in placed]
    box_faults = [one.fault for boxes in judged for one in boxes if one.fault is not None]
    refuse_other_units(everything, listing)
    kept = any(one.corners is not None for boxes in judged for one in boxes)
    _refuse_many_boxes(everything, box_faults, kept, listing)
    records = tuple(
        _record(image, header, judgements, labels, listing.notation)
        for (image, header), judgements in zip(usable, judged, strict=True)
    )
    notes = [
        *_counts(listing, records, classes),
        *listing.notes,
        *_fault_lines(image_faults, "images excluded", len(listing.images)),
        *_fault_lines(box_faults, "boxes clipped or dropped", len(everything)),
        *_minor_notes(usable, judged),
    ]
    for fault in (*image_faults[_MAX_SHOWN:], *box_faults[_MAX_SHOWN:]):
        _LOG.debug("%s", fault)
    faults = tuple(str(fault) for fault in image_faults + box_faults)
    return Split(listing.split, records, classes, tuple(notes), faults)


def _usable_images(
    listing: Listing, folders: Folders, max_pixels: int
) -> tuple[list[tuple[ListedImage, ImageHeader]], list[Fault]]:
    usable, faults = [], []
    for image in listing.images:
        found = _header_of(image, folders, max_pixels)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            usable.append((image, found))
    _refuse_many_images(faults, listing, folders)
    if not usable:
        raise DatasetError(
            f"no image of {listing.split} can be used: {faults[0].text}; its images are those of {listing.source}",
            code="E115",
        )
    return usable, faults


def _header_of(image: ListedImage, folders: Folders, max_pixels: int) -> ImageHeader | Fault:
    """The header of a usable image, or the fault of an image that is not."""
    if not folders.has(image.path):
        return Fault("E104", f"{cut(image.file_name, 300)} does not exist{folders.hint(image.path)}")
    if image.fault is not None:
        return image.fault
    try:
        header = image_header(image.path, max_pixels)
    except ImageError as error:
        return Fault(error.code or "E105", error.text)
    if not is_whole(image.path, max_pixels):
        length = image.path.stat().st_size
        return Fault("E105", f"cannot decode {image.file_name}: damaged or truncated after {length:,} bytes")
    if image.size is not None and image.size != header.size:
        return Fault("E106", _size_differs(image, image.size, header))
    return header


def _size_differs(image: ListedImage, listed: ImageSize, header: ImageHeader) -> str:
    real = header.size
    text = f"{image.file_name} is {real.width}x{real.height}, but {image.annotation} has {listed.width}x{listed.height}"
    if header.orientation >= 5 and listed == ImageSize(real.width, real.height):
        return (
            f"{text}: the file is stored turned (EXIF orientation {header.orientation}) and its boxes seem to be "
            "drawn on the stored pixels; remove the orientation tag from the image, or turn the boxes"
        )
    return f"{text}: its boxes may be for another version of the image"


def _refuse_many_images(faults: list[Fault], listing: Listing, folders: Folders) -> None:
    if len(faults) <= max_left_out(len(listing.images)):
        return
    code, count = Counter(fault.code for fault in faults).most_common(1)[0]
    cases = "; ".join(fault.text for fault in faults[:5])
    advice = _advice(count == len(listing.images), listing, folders) if code == "E104" else "Mend or remove them"
    raise DatasetError(
        f"{len(faults)} of {len(listing.images)} images of {listing.split} cannot be used, more than the "
        f"{MAX_LEFT_OUT_PERCENT} % that are excluded and listed: {cases}. They are images of {listing.source}. "
        f"{advice}",
        code=code,
    )


def _advice(all_absent: bool, listing: Listing, folders: Folders) -> str:
    """A remedy for absent images: another folder only where none of them exists under a similar name."""
    absent = [image for image in listing.images if not folders.has(image.path)]
    source = listing.source.name
    if any(folders.hint(image.path) for image in absent[:5]):
        return f"Give the files the names that {source} has, or correct the names there"
    if not absent:
        return "Mend or remove them"
    if not all_absent:
        return f"Put the absent images there, or take them out of {source}"
    searched = f"Searched {listing.images[0].path.parent}; give the right folder: --set data.images=FOLDER"
    return listing.advice or searched


def _refuse_many_boxes(boxes: Sequence[PlacedBox], faults: list[Fault], kept: bool, listing: Listing) -> None:
    allowed = max(1, len(boxes) // 100)
    if len(faults) <= allowed:
        if boxes and not kept:
            raise DatasetError(
                f"no box of {listing.split} can be used: {faults[0].text}. Correct it in the file", code=faults[0].code
            )
        return
    refuse_other_notation(boxes, listing, len(faults), allowed)
    code = Counter(fault.code for fault in faults).most_common(1)[0][0]
    cases = "; ".join(fault.text for fault in faults[:5])
    raise DatasetError(
        f"{len(faults)} of {len(boxes)} boxes of {listing.split} ({len(faults) / len(boxes):.1%}) are bad, more than "
        f"the 1 % that are clipped or dropped and listed: {cases}. Correct them in the files; nothing was started",
        code=code,
    )


def _record(
    image: ListedImage,
    header: ImageHeader,
    judgements: Sequence[Judgement],
    labels: dict[int | str, int],
    notation: Notation,
) -> ImageRecord:
    kept: list[tuple[ListedBox, Corners]] = [
        (box, judged.corners) for box, judged in zip(image.boxes, judgements, strict=True) if judged.corners is not None
    ]
    truth = GroundTruth(
        boxes=torch.tensor([corners for _, corners in kept], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([labels[box.category] for box, _ in kept], dtype=torch.int64),
        ignored=torch.tensor([box.ignored for box, _ in kept], dtype=torch.bool),
    )
    areas = [box.area if box.area is not None else (c[2] - c[0]) * (c[3] - c[1]) for box, c in kept]
    return ImageRecord(
        path=image.path,
        file_name=image.file_name,
        image_id=image.image_id,
        size=header.size,
        truth=truth,
        areas=torch.tensor(areas, dtype=torch.float64),
        boxes_xywh=torch.tensor(
            [exact_xywh(box, corners, notation) for box, corners in kept], dtype=torch.float64
        ).reshape(-1, 4),
    )


def _counts(listing: Listing, records: Sequence[ImageRecord], classes: ClassMap) -> list[str]:
    empty = sum(not len(record.truth.labels) for record in records)
    ignored = sum(int(record.truth.ignored.sum()) for record in records)
    labels = Counter(label for record in records for label in record.truth.labels.tolist())
    per_class = first_of((f"{classes.name_of(label)} {count}" for label, count in labels.most_common()), 20)
    return [
        f"{listing.split}: {listing.format} from {listing.source.name}: {len(records)} images"
        f"{f' ({empty} without objects, kept)' if empty else ''}, {labels.total()} boxes"
        f"{f' ({ignored} of them ignored: crowd or difficult)' if ignored else ''}"
        f"{f': {per_class}' if per_class else ''}"
    ]


def _fault_lines(faults: Sequence[Fault], what: str, total: int) -> list[str]:
    if not faults:
        return []
    rest = [f"  and {len(faults) - _MAX_SHOWN} more"] if len(faults) > _MAX_SHOWN else []
    return [f"{what}: {len(faults)} of {total}", *(f"  {fault}" for fault in faults[:_MAX_SHOWN]), *rest]


def _minor_notes(usable: Sequence[tuple[ListedImage, ImageHeader]], judged: Sequence[Sequence[Judgement]]) -> list[str]:
    """Lines about conversions, boxes that are slightly clipped and repeated boxes, which are no faults."""
    lines = []
    converted = Counter(header.conversion for _, header in usable if header.conversion is not None)
    if converted:
        kinds = ", ".join(f"{count} {kind}" for kind, count in converted.most_common())
        lines.append(f"images converted to upright 8-bit RGB: {kinds}")
    paths = Counter(str(image.path) for image, _ in usable)
    repeated = [path for path, count in paths.items() if count > 1]
    if repeated:
        lines.append(f"images listed more than once, kept: {len(repeated)} ({first_of(repeated, 3)})")
    trimmed = sum(one.trimmed for boxes in judged for one in boxes)
    if trimmed:
        lines.append(f"boxes that stuck out by at most 1 pixel, clipped: {trimmed}")
    twice = [
        f"{image.annotation} {box.where} in {image.file_name}" for image, _ in usable for box in _repeated(image.boxes)
    ]
    if twice:
        lines.append(f"boxes that occur twice, kept: {len(twice)} ({first_of(twice)})")
    return lines


def _repeated(boxes: Sequence[ListedBox]) -> list[ListedBox]:
    earlier: set[tuple[object, ...]] = set()
    repeated = []
    for box in boxes:
        key = (box.category, *map(str, box.written))
        if key in earlier:
            repeated.append(box)
        earlier.add(key)
    return repeated
