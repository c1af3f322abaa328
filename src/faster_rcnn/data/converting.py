"""``faster-rcnn convert``: a data set in another format, in a folder of its own; the data are not changed."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from faster_rcnn.data.decode import image_header
from faster_rcnn.data.formats.coco_writer import COCO
from faster_rcnn.data.formats.table_writer import CSV
from faster_rcnn.data.formats.voc_writer import VOC
from faster_rcnn.data.formats.written import Splits, Writer, WrittenBox, WrittenImage, held
from faster_rcnn.data.formats.yolo_writer import YOLO
from faster_rcnn.data.layout.folders import ENDINGS, IMAGE_SUFFIXES, UNREAD_SUFFIXES
from faster_rcnn.data.opening import LONGEST_SIDE
from faster_rcnn.data.records import Dataset, ImageRecord
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.atomic import as_machine_error
from faster_rcnn.system.numbering import first_free
from faster_rcnn.system.progress import counted

WRITERS: dict[str, Writer] = {"coco": COCO, "voc": VOC, "yolo": YOLO, "csv": CSV}
"""The formats by their names on the command line."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was written."""

    images: dict[str, int]
    """Number of images by split."""
    boxes: dict[str, int]
    """Number of boxes by split, ignored ones included."""
    notes: tuple[str, ...]
    """Lines on what was renamed, and on what the format cannot hold."""


def refuse_target(target: Path, data: Path, option: str = "--out") -> None:
    """Raise ``OptionError`` for a folder that holds anything already, is the data's own, or lies within it."""
    if data.is_dir() and target.resolve().is_relative_to(data.resolve()):
        raise OptionError(f"{option} {target} is in the data's own folder {data}; name another folder", code="E137")
    if target.is_dir() and any(target.iterdir()):
        raise OptionError(f"{option} {target} is not empty; name a new folder", code="E137")


def convert(dataset: Dataset, writer: Writer, target: Path) -> Conversion:
    """Copy all images of a data set to a new folder, and write their boxes in another format.

    Raises:
        MachineError: the disk is full, or may not be written to; nothing of the conversion is left.
    """
    paths = {name: [record.path for record in split.records] for name, split in dataset.splits.items()}
    names, notes = names_in_folders(paths, writer)
    splits = {name: _written(split.records, names[name]) for name, split in dataset.splits.items()}
    notes += write_data_set(target, writer, splits, paths, dataset.classes)
    return Conversion(
        images={name: len(images) for name, images in splits.items()},
        boxes={name: sum(len(image.boxes) for image in images) for name, images in splits.items()},
        notes=tuple(notes),
    )


def write_data_set(
    target: Path, writer: Writer, splits: Splits, paths: Mapping[str, Sequence[Path]], classes: ClassMap
) -> list[str]:
    """Copy the images at ``paths`` to a new folder and write their boxes; returns lines on what is lost.

    Raises:
        MachineError: the disk is full, or may not be written to; nothing is left.
    """
    with emptied_on_failure(target):
        for split, images in splits.items():
            folder = target / writer.images(split)
            folder.mkdir(parents=True, exist_ok=True)
            pairs = zip(paths[split], images, strict=True)
            for path, image in counted(pairs, f"images of {split}", len(images)):
                shutil.copyfile(path, folder / image.name)
        return writer.write(target, splits, classes)


def names_in_folders(paths: Mapping[str, Sequence[Path]], writer: Writer) -> tuple[dict[str, list[str]], list[str]]:
    """File names of the images of each split, and a line on images with a new name.

    No other image of the same folder has its stem, in any spelling, since label files are named by stems. Every format
    can hold the names.
    """
    names: dict[str, list[str]] = {}
    used: dict[str, set[str]] = defaultdict(set)
    renamed = []
    for split, own in paths.items():
        taken, names[split] = used[writer.images(split)], []
        for path in own:
            stem, ending = _parts(path)
            stem = first_free(Path(plain_stem(stem)), partial(_is_taken, taken)).name
            taken.add(stem.casefold())
            names[split].append(stem + ending)
            if stem + ending != path.name:
                renamed.append(f"{path} is {stem}{ending}")
    why = "since others have their names, label files cannot hold them, or no picture has their ending"
    return names, [f"images renamed, {why}: {len(renamed):,} ({first_of(renamed)})"] if renamed else []


def plain_stem(stem: str) -> str:
    r"""The name of an image without its ending, with ``_`` for what label files and their readers do not keep.

    These are bytes that are not UTF-8, control characters, backslashes, blanks at the ends, a dot that hides the file,
    and the dot of a second ending.

    >>> plain_stem("photo.jpg"), plain_stem(" a\\b")
    ('photo_jpg', '_a_b')
    """
    plain = held(stem).replace("\\", "_")
    before, after = len(plain) - len(plain.lstrip()), len(plain) - len(plain.rstrip())
    plain = "_" * before + plain.strip() + "_" * after
    if plain.startswith("."):
        plain = f"_{plain[1:]}"
    name, ending = os.path.splitext(plain)
    return f"{name}_{ending[1:]}" if ending.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES | {".xml", ".txt"} else plain


def _parts(path: Path) -> tuple[str, str]:
    """The name of an image and its ending, which is that of its content where pictures do not have its own."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return path.stem, path.suffix
    try:
        endings = ENDINGS.get(image_header(path, LONGEST_SIDE**2).type)
    except ImageError:
        endings = None
    return (path.stem, path.suffix) if endings is None else (path.name, endings[0])


def _is_taken(taken: set[str], stem: Path) -> bool:
    return stem.name.casefold() in taken


def _written(records: Sequence[ImageRecord], names: Sequence[str]) -> list[WrittenImage]:
    """The images of a split; ids are kept where all of them are integers."""
    keeps = all(isinstance(record.image_id, int) for record in records)
    return [
        written_image(record, name, int(record.image_id) if keeps else number)
        for number, (record, name) in enumerate(zip(records, names, strict=True), start=1)
    ]


def written_image(record: ImageRecord, name: str, image_id: int) -> WrittenImage:
    """A labelled image under a name and an id."""
    truth = record.truth
    columns = record.boxes_xywh.tolist(), truth.labels.tolist(), truth.ignored.tolist(), record.areas.tolist()
    boxes = [
        WrittenBox(x, y, width, height, label, ignored, area)
        for (x, y, width, height), label, ignored, area in zip(*columns, strict=True)
    ]
    return WrittenImage(name, image_id, record.size, tuple(boxes))


@contextmanager
def emptied_on_failure(target: Path) -> Iterator[None]:
    """Make a folder; where what follows fails, everything in it is removed, and it, too, if it was not there before."""
    existed = target.is_dir()
    try:
        with as_machine_error(target):
            target.mkdir(parents=True, exist_ok=True)
            yield
    except BaseException:
        for entry in [*target.iterdir()] if target.is_dir() else ():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if target.is_dir() and not existed:
            target.rmdir()
        raise
