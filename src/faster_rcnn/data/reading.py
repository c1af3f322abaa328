"""Which format is it? Looks at a folder or file, reads it and checks it: the one way in for labelled images."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.config import DataConfig
from faster_rcnn.data import coco, coco_files, table, voc, voc_lists, yolo, yolo_finding
from faster_rcnn.data.checking import check
from faster_rcnn.data.classes import agree, labels_of
from faster_rcnn.data.folders import Folders, entries_of, files_of, first_of, is_picture, nearby
from faster_rcnn.data.listing import Listing, split_of
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.errors import DatasetError

_ORDER = ("train", "val", "test")
_EXPECTED = (
    "COCO (annotations/train.json), VOC (Annotations/*.xml), YOLO (data.yaml) or CSV (train.csv: "
    "image,xmin,ymin,xmax,ymax,label)"
)


class Part(NamedTuple):
    """Where one split stands."""

    format: str
    sources: tuple[Path, ...]
    description: Path | None = None
    """YOLO's ``data.yaml``."""


def load_dataset(data: Path, settings: DataConfig) -> Dataset:
    """Find, read and check all splits of a data set; nothing is ever written to it.

    Raises:
        DatasetError: the format is not known, or the data cannot be used; the message says why and what helps.
    """
    if not data.exists():
        raise DatasetError(f"{data} does not exist.{nearby(data)} Nothing was downloaded", code="E101")
    root = data if data.is_dir() else data.parent
    parts = _find(data, root, settings)
    images = _existing(settings.images, root, "images") if settings.images is not None else None
    folders = Folders()
    listings = [_read(parts[name], name, root, images, folders, settings) for name in _ORDER if name in parts]
    _refuse_nothing(listings)
    classes, notes = agree(listings)
    splits = {
        listing.split: check(listing, classes, labels_of(classes, listing), folders, settings.max_pixels)
        for listing in listings
    }
    _refuse_nothing_to_train_on(splits.get("train"))
    first = next(iter(splits.values()))
    splits[first.name] = Split(first.name, first.records, classes, (*first.notes, *notes), first.faults)
    return Dataset(root, listings[0].format, classes, splits)


def _find(data: Path, root: Path, settings: DataConfig) -> dict[str, Part]:
    """Parts by split: those named in the settings, the others by looking."""
    named = {name: value for name in _ORDER if (value := getattr(settings, name)) is not None}
    if not named:
        return _look_at_folder(data) if data.is_dir() else _look_at_file(data)
    parts = {name: _part(_existing(value, root, name), root, name) for name, value in named.items()}
    formats = sorted({part.format for part in parts.values()})
    if len(formats) > 1:
        raise DatasetError(f"the splits given by --set are of different formats: {', '.join(formats)}", code="E101")
    # What cannot be told apart by looking is what these settings are for.
    with contextlib.suppress(DatasetError):
        found = _look_at_folder(data) if data.is_dir() else _look_at_file(data)
        parts = {name: part for name, part in found.items() if part.format == formats[0]} | parts
    return parts


def _existing(value: str, root: Path, key: str) -> Path:
    """A path of the settings, seen from the data or from the working folder."""
    for candidate in (root / value, Path(value)):
        if candidate.exists():
            return candidate
    raise DatasetError(
        f"{root / value} does not exist (from --set data.{key}={value}).{nearby(root / value)} Nothing was downloaded",
        code="E101",
    )


def _part(path: Path, root: Path, split: str) -> Part:
    """What a file or folder named in the settings is."""
    if path.suffix.lower() == ".txt" or (path.is_dir() and not _annotations_in(path)):
        description = yolo_finding.find_description(root)
        if description is not None:
            return Part(yolo.FORMAT, (path,), description)
        if path.suffix.lower() == ".txt":
            return Part(voc.FORMAT, (path,))
        raise DatasetError(
            f"{path} (from --set data.{split}) holds neither a COCO JSON nor VOC XML files, and there is "
            f"no data.yaml in {root}",
            code="E101",
        )
    if path.is_dir():
        return next(iter(_look_at_folder(path).values()))
    return next(iter(_look_at_file(path).values()))


def _annotations_in(folder: Path) -> bool:
    return any(files_of(folder, ending) for ending in (".json", ".xml", ".csv"))


def _look_at_file(data: Path) -> dict[str, Part]:
    ending = data.suffix.lower()
    split = split_of(data.stem) or "train"
    if ending == ".json":
        return {split: Part(coco.FORMAT, (data,))}
    if ending == ".csv":
        return {split: Part(table.FORMAT, (data,))}
    if ending in (".yaml", ".yml", ".data"):
        return _yolo_parts(data)
    kind = "an image" if is_picture(data.name) else "one XML" if ending == ".xml" else f"a '{ending}' file"
    raise DatasetError(f"{data} is {kind}; labelled images are a folder or file of {_EXPECTED}", code="E101")


def _look_at_folder(root: Path) -> dict[str, Part]:
    """The first format that fits; the ones that say their splits go before those that do not."""
    if splits := coco_files.find_splits(root):
        return _parts(coco.FORMAT, splits)
    if (description := yolo_finding.find_description(root)) is not None:
        return _yolo_parts(description)
    if lists := voc_lists.find_lists(root):
        return {split: Part(voc.FORMAT, tuple(files)) for split, files in lists.items()}
    if splits := table.find_splits(root):
        return _parts(table.FORMAT, splits)
    if places := voc.find_folders(root):
        return {split: Part(voc.FORMAT, tuple(places[split])) for split in places}
    if files := files_of(root, ".json"):
        return _parts(coco.FORMAT, coco_files.find_files(files))
    raise _unknown(root)


def _parts(name: str, splits: dict[str, Path]) -> dict[str, Part]:
    return {split: Part(name, (source,)) for split, source in splits.items()}


def _yolo_parts(description: Path) -> dict[str, Part]:
    splits = yolo_finding.find_splits(description)
    if not splits:
        raise DatasetError(
            f"{description} names no images: it needs 'train: FOLDER', and 'val: FOLDER' where there is validation",
            code="E101",
        )
    return {name: Part(yolo.FORMAT, tuple(sources), description) for name, sources in splits.items()}


def _unknown(root: Path) -> DatasetError:
    """Says what the folder holds instead of annotations."""
    entries = entries_of(root)
    endings = [entry.suffix.lower() or entry.name for entry in entries]
    reasons = {
        yolo_finding.advice(root) or "": yolo_finding.advice(root) is not None,
        "it holds TFRecord files, which are not read": ".tfrecord" in endings,
        "it is empty": not endings,
        "it holds images, but nothing that says where the objects are": any(
            is_picture(entry.name) for entry in entries
        ),
        f"it holds {first_of(sorted(set(endings)))}": True,
    }
    what = next(reason for reason, applies in reasons.items() if applies)
    return DatasetError(f"{root} has no annotations that are known: {what}. Known are {_EXPECTED}", code="E101")


def _read(part: Part, split: str, root: Path, images: Path | None, folders: Folders, settings: DataConfig) -> Listing:
    source = part.sources[0]
    if part.format == coco.FORMAT:
        return coco.read(source, split, images, folders, root)
    if part.format == voc.FORMAT:
        return voc.read(part.sources, split, images, folders, settings.voc_offset)
    if part.format == table.FORMAT:
        return table.read(source, split, images, folders)
    if part.description is None:
        raise AssertionError("a YOLO part has a description")
    return yolo.read(part.sources, split, part.description, images, folders, settings.missing_labels)


def _refuse_nothing(listings: Iterable[Listing]) -> None:
    for listing in listings:
        if not listing.images:
            raise DatasetError(f"{listing.source} lists no images, so {listing.split} is empty", code="E115")


def _refuse_nothing_to_train_on(train: Split | None) -> None:
    if train is None:
        return
    objects = sum(int((~record.truth.ignored).sum()) for record in train.records)
    if not objects:
        ignored = sum(len(record.truth.ignored) for record in train.records)
        raise DatasetError(
            f"nothing to train on: the {len(train.records)} images of train have no object"
            f"{f', only {ignored} that are ignored (crowd or difficult)' if ignored else ''}",
            code="E115",
        )
