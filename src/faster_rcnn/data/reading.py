"""Loading of labelled images: the splits that are needed are found, read and checked; others are left alone."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.checking import check
from faster_rcnn.data.classes import agree, labels_of
from faster_rcnn.data.finding import ORDER, Part, existing, find, other_descriptions
from faster_rcnn.data.formats import coco, coco_files, table, voc, yolo
from faster_rcnn.data.layout.folders import Folders, file_kinds, nearby
from faster_rcnn.data.layout.listing import Listing
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.data.sharing import share_out, shared_images
from faster_rcnn.data.unused import outside_pictures, unused_pictures
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import ClassMap

_LOG = logging.getLogger(__name__)


class Source(NamedTuple):
    """A data set whose parts are found and not yet read; ``located`` makes it."""

    root: Path
    is_folder: bool
    """Whether the whole folder is the data set, and not a file in it."""
    parts: dict[str, Part]
    images: Path | None
    settings: DataConfig
    folders: Folders

    def read(self, split: str) -> Listing:
        """Read one split, as its files list it; raises ``DatasetError`` where that cannot be done."""
        listing = filled(_read(self.parts[split], split, self.root, self.images, self.folders, self.settings))
        _log_listing(listing)
        return listing


class _Read(NamedTuple):
    """The listings of a data set that were read."""

    needed: dict[str, Listing]
    others: dict[str, Listing]
    """Splits that are read for their class names alone."""
    warnings: list[str]


def filled(listing: Listing) -> Listing:
    """The listing; raises ``DatasetError`` where it has no image."""
    if not listing.images:
        raise DatasetError(f"{listing.source} lists no images, so {listing.split} is empty", code="E115")
    return listing


def load_dataset(data: Path, settings: DataConfig, splits: Sequence[str] | None = None) -> Dataset:
    """Find, read and check the splits of a data set that are needed, all of them unless they are named.

    Nothing is ever written to the data. The images of other splits are not opened, and faults of those splits are
    warnings.

    Raises:
        DatasetError: the format is not known, or the data cannot be used; the message has the reason and a remedy.
        OptionError: a share of the training images is requested although there is a validation split.
    """
    source = located(data, settings)
    if settings.val_share > 0 and (parts := source.parts.get("val")) is not None:
        raise OptionError(
            f"data.val_share={settings.val_share:g}, but {source.root} has a validation split, {parts.sources[0]}: "
            "leave out the share"
        )
    return _load(source, ORDER if splits is None else splits)


def load_split(data: Path, settings: DataConfig, name: str | None, also: Sequence[str] = ()) -> Dataset:
    """Load the split to measure on (``name``, else ``test``, else ``val``) and those of ``also``.

    Raises:
        OptionError: there is no such split; the message lists those that exist.
        DatasetError: as ``load_dataset`` does.
    """
    source = located(data, settings)
    if name is not None:
        return _load(source, (name, *also))
    there = [split for split in ("test", "val") if split in source.parts]
    absent = [path for path in source.parts["test"].sources if not os.path.exists(path)] if len(there) > 1 else []
    if not there and settings.val_share > 0:
        raise OptionError(
            f"{source.root} has neither a test nor a val split; it has: {', '.join(source.parts)}. With --split val a "
            f"share of {settings.val_share:g} of train is measured, the one that the detector was validated on"
        )
    warnings = [f"{path} does not exist, so val is measured instead of test" for path in absent[:1]]
    try:
        dataset = _load(source, (*(there[1:] if absent else there[:1]), *also))
    except DatasetError as error:
        if there != ["test", "val"] or absent:
            raise
        raise DatasetError(f"{error.text}. With --split val the other split is measured", code=error.code) from error
    return replace(dataset, warnings=(*warnings, *dataset.warnings))


def load_present(data: Path, settings: DataConfig) -> Dataset:
    """Load all splits; a split whose list or images do not exist is left out with a warning.

    Raises:
        DatasetError: no split exists, or an existing split cannot be used.
    """
    source = located(data, settings)
    reasons = {split: reason for split in source.parts if (reason := _why_absent(source, split)) is not None}
    present = [split for split in source.parts if split not in reasons]
    dataset = _load(source, present or list(source.parts))
    warnings = [f"{split} is left out: {reason}" for split, reason in reasons.items()]
    return replace(dataset, warnings=(*warnings, *dataset.warnings))


def _why_absent(source: Source, split: str) -> str | None:
    try:
        listing = source.read(split)
    except DatasetError as error:
        if error.code == "E101":
            return str(error)
        raise
    if any(source.folders.has(image.path) for image in listing.images):
        return None
    return f"none of its {len(listing.images)} images exists, such as {listing.images[0].path}"


def located(data: Path, settings: DataConfig) -> Source:
    """Find the parts of a data set without reading them; raises ``DatasetError`` where there are none."""
    if not os.path.exists(data):
        raise DatasetError(f"{data} does not exist.{nearby(data)} Nothing was downloaded", code="E101")
    root = data if data.is_dir() else data.parent
    parts = find(data, root, settings)
    _log_parts(root, parts)
    images = existing(settings.images, root, "images") if settings.images is not None else None
    return Source(
        root, data.is_dir(), {name: parts[name] for name in ORDER if name in parts}, images, settings, Folders()
    )


def _log_parts(root: Path, parts: dict[str, Part]) -> None:
    """Log the kinds of files in a folder, the format that was recognised, and the files by which it was."""
    if not _LOG.isEnabledFor(logging.DEBUG):
        return
    kinds = sorted(file_kinds(root).items(), key=lambda item: (-item[1], item[0]))
    counts = first_of((f"{count} {kind}" for kind, count in kinds), 10)
    _LOG.debug("%s holds files of these kinds: %s", root, counts)
    for split, part in parts.items():
        described = "" if part.description is None else f", described by {part.description.file}"
        _LOG.debug("%s is %s%s, from %s", split, part.format, described, first_of(part.sources, 3))


def _log_listing(listing: Listing) -> None:
    boxes = sum(len(image.boxes) for image in listing.images)
    empty = sum(not image.boxes for image in listing.images)
    _LOG.debug(
        "%s lists %d images, %d of them without boxes, and %d boxes", listing.split, len(listing.images), empty, boxes
    )


@contextmanager
def _without_cycle_collection() -> Iterator[None]:
    """Pause the garbage collector, which finds nothing here, since records hold no cycles.

    20,000 boxes are enough objects for the collector to traverse all of torch's objects several times: 0.4 of the 2.8
    seconds that 5,000 images took.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_cycle_collection()
def _load(source: Source, splits: Sequence[str]) -> Dataset:
    read = _read_splits(source, splits)
    classes, notes, warnings = _agreed(read)
    loaded = {split: _checked(source, listing, classes) for split, listing in _ordered(read.needed)}
    _refuse_nothing_to_train_on(loaded.get("train"))
    if loaded:
        first = next(iter(loaded.values()))
        others = other_descriptions(source.root, source.parts) if source.is_folder else ()
        loaded[first.name] = replace(first, notes=(*first.notes, *notes, *others, *_unused(source, read)))
    found = tuple(split for split in ORDER if split in {*source.parts, *loaded})
    part = next(iter(source.parts.values()))
    return Dataset(source.root, part.format, classes, loaded, found, (*read.warnings, *warnings, *_shared(read)))


def _checked(source: Source, listing: Listing, classes: ClassMap) -> Split:
    """Check a listing; a note names images outside of the data set, unless a setting names their folder."""
    split = check(listing, classes, labels_of(classes, listing), source.folders, source.settings.max_pixels)
    outside = outside_pictures(source.root, listing, source.folders) if source.images is None else []
    return replace(split, notes=(*split.notes, *outside))


def _unused(source: Source, read: _Read) -> list[str]:
    """Notes on annotation files that are no split and, where all splits were read, on unmentioned pictures."""
    used = [path for part in source.parts.values() for path in part.sources]
    formats = {part.format for part in source.parts.values()} if source.is_folder else set()
    notes = coco_files.unused(source.root, used) if coco.FORMAT in formats else []
    notes += table.unused(source.root, used) if table.FORMAT in formats else []
    listings = {**read.others, **read.needed}
    if not set(source.parts) <= set(listings):
        return notes
    return [*notes, *unused_pictures(source.root, source.is_folder, listings.values(), source.folders)]


def _shared(read: _Read) -> list[str]:
    """Warnings of images that two splits share; without training, splits that are not needed are left alone."""
    listings = {**read.others, **read.needed} if "train" in read.needed else read.needed
    return shared_images({split: [image.path for image in listing.images] for split, listing in _ordered(listings)})


def _read_splits(source: Source, splits: Sequence[str]) -> _Read:
    """Read the splits that are needed, and the others for training or where boxes define the classes."""
    needed = {split: source.read(split) for split in source.parts if split in splits}
    others: dict[str, Listing] = {}
    warnings = []
    if source.settings.val_share > 0 and "val" in splits and "val" not in source.parts and "train" in source.parts:
        whole = needed.get("train") or source.read("train")
        train, needed["val"] = share_out(whole, source.settings.val_share, source.settings.val_seed or 0)
        (needed if "train" in splits else others)["train"] = train
    if "train" in splits or any(listing.categories is None for listing in needed.values()):
        for split in [split for split in source.parts if split not in needed and split not in others]:
            try:
                others[split] = source.read(split)
                warnings += _absent_images(others[split], source.folders)
            except DatasetError as error:
                warnings.append(f"{split}, which is not needed here, cannot be used: {error}")
    return _Read(needed, others, warnings)


def _absent_images(listing: Listing, folders: Folders) -> list[str]:
    absent = [image.file_name for image in listing.images if not folders.has(image.path)]
    if not absent:
        return []
    count = f"{len(absent)} of {len(listing.images)} images of {listing.split}"
    return [f"{count}, which is not needed here, do not exist: {first_of(absent)}"]


def _agreed(read: _Read) -> tuple[ClassMap, tuple[str, ...], list[str]]:
    """The classes, with notes; a split that is not needed and does not agree is left out with a warning."""
    if not read.needed:
        return ClassMap((), ()), (), []
    try:
        return *agree([listing for _, listing in _ordered({**read.others, **read.needed})]), []
    except DatasetError:
        if not read.others:
            raise
    needed = list(read.needed.values())
    agreed, warnings = agree(needed), []
    for split, other in read.others.items():
        try:
            agree([*needed, other])
        except DatasetError as error:
            warnings.append(f"{split}, which is not needed here, does not fit: {error}")
    return *agreed, warnings


def _ordered(listings: dict[str, Listing]) -> list[tuple[str, Listing]]:
    return [(split, listings[split]) for split in ORDER if split in listings]


def _read(part: Part, split: str, root: Path, images: Path | None, folders: Folders, settings: DataConfig) -> Listing:
    source = part.sources[0]
    if part.format == coco.FORMAT:
        return coco.read(source, split, images, folders, root)
    if part.format == voc.FORMAT:
        return voc.read(part.sources, split, images, folders, settings.voc_offset)
    if part.format == table.FORMAT:
        return table.read(source, split, images, folders, root)
    if part.description is None:
        raise AssertionError("a YOLO part has a description")
    required = settings.missing_labels == "error"
    return yolo.read(part.sources, split, part.description, images, folders, required)


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
