"""``check --fix``: a copy of a data set without its faults, in the same format, and a list of every change.

The data are not changed. Sound boxes keep their numbers: VOC, whose numbers are integers, is written as COCO JSON where
a box has others.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.image_faults import Redraw
from faster_rcnn.checking.run import Checked, nothing_left
from faster_rcnn.data.converting import WRITERS, convert, emptied_on_failure
from faster_rcnn.data.decode import image_header, read_image
from faster_rcnn.data.formats import coco
from faster_rcnn.data.formats.written import Writer
from faster_rcnn.data.layout.folders import ENDINGS
from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.system.terminal import printable

CHANGES = "CHANGES.md"
"""The list of changes in a mended copy; no reader takes it for annotations."""
_TO_STORED = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What turns an upright image back to the stored pixels, by EXIF orientation."""
_WHOLE = 1e-3
"""How near to integers the corners of a VOC box are, in pixels, as float32 has them."""


def refuse_undecided(checked: Checked) -> None:
    """Raise ``DatasetError`` where a fault is left that only a person can mend, or a split has no usable image."""
    if (lost := nothing_left(checked)) is not None:
        raise DatasetError(f"{checked.content.source.root} cannot be mended: {lost}; nothing was written", code="E115")
    if checked.undecided:
        first = checked.undecided[0]
        raise DatasetError(
            f"{checked.content.source.root} cannot be mended, since {_decisions(len(checked.undecided))}: "
            f"{first.place}: {first.value}. {first.about.remedy} Nothing was written",
            code="E103",
        )


def _decisions(count: int) -> str:
    return "a fault needs a decision" if count == 1 else f"{count:,} faults need a decision"


def mend(checked: Checked, target: Path) -> list[str]:
    """Write the mended copy into a new folder, with the list of changes; returns lines on what the format cannot hold.

    Raises:
        DatasetError: a fault is left that only a person can mend.
        MachineError: the disk is full, or may not be written to; nothing of the copy is left.
    """
    refuse_undecided(checked)
    writer, notes = _writer(checked)
    with emptied_on_failure(target):
        with tempfile.TemporaryDirectory(dir=target) as place:  # on the disk that has to have the space
            dataset = _redrawn(checked, Path(place))
            notes += convert(dataset, writer, target).notes
        notes += _not_copied(checked)
        lines = map(printable, (*_changes(checked), *_noted(notes)))
        with atomic_write(target / CHANGES) as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return notes


def _writer(checked: Checked) -> tuple[Writer, list[str]]:
    """The writer of the data's own format, or that of COCO JSON for VOC with numbers that are no integers."""
    writer = next(each for each in WRITERS.values() if each.title == checked.content.format)
    if writer is WRITERS["voc"] and not all(_is_whole(split) for split in checked.mended.splits.values()):
        note = "written as COCO JSON, since some boxes have corners that are no integers, which VOC cannot hold"
        return WRITERS["coco"], [note]
    return writer, []


def _is_whole(split: Split) -> bool:
    boxes = torch.cat([torch.zeros(0, 4), *(record.truth.boxes for record in split.records)])
    return bool(((boxes - boxes.round()).abs() < _WHOLE).all())


def _redrawn(checked: Checked, place: Path) -> Dataset:
    """The data set with images that are written again in ``place``; the others stay where they are."""
    splits = {}
    for name, split in checked.mended.splits.items():
        records = [
            _with_image(record, checked.redraws.get(record.path), place / name / str(number))
            for number, record in enumerate(split.records)
        ]
        splits[name] = replace(split, records=tuple(records))
    return replace(checked.mended, splits=splits)


def _with_image(record: ImageRecord, redraw: Redraw | None, folder: Path) -> ImageRecord:
    if redraw is None:
        return record
    folder.mkdir(parents=True)
    pixels = record.size.height * record.size.width
    header = image_header(record.path, pixels)
    if redraw == "renamed":
        ending = ENDINGS[header.type][0]
        path = Path(shutil.copyfile(record.path, folder / f"{record.path.stem}{ending}"))
    else:
        path = folder / f"{record.path.stem}.png"
        image = Image.fromarray(read_image(record.path, pixels)[0].permute(1, 2, 0).contiguous().numpy())
        (image.transpose(_TO_STORED[header.orientation]) if redraw == "stored" else image).save(path)
    return replace(record, path=path)


def _changes(checked: Checked) -> Iterator[str]:
    changed = [each for each in checked.findings if each.level != "remark"]
    yield f"# Changes of {checked.content.source.root.resolve().name}"
    yield ""
    yield f"`faster-rcnn check --fix` made {len(changed)} changes. The data themselves are as they were."
    yield ""
    yield from (_change(each) for each in changed)


def _change(finding: Finding) -> str:
    return f"- {finding.place}: {finding.about.title}: {finding.value} -> {finding.change}"


def _noted(notes: list[str]) -> Iterator[str]:
    if notes:
        yield ""
        yield "What the copy does not hold:"
        yield ""
        yield from (f"- {note}" for note in notes)


def _not_copied(checked: Checked) -> list[str]:
    """A line on what the readers do not keep, so that it is not in the copy."""
    if checked.content.format != coco.FORMAT:
        return []
    return [
        "annotations have their boxes, classes, areas and 'iscrowd'; outlines, keypoints and other keys are not copied "
        f"(splits: {first_of(checked.mended.splits)})"
    ]
