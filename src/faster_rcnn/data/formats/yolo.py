"""YOLO: a ``data.yaml`` with class names and image folders, and one text file of objects per image.

The label file of ``.../images/a.jpg`` is ``.../labels/a.txt``. An empty label file means an image without objects, and
so does an absent one, as the format's authors define it, unless ``data.missing_labels`` is ``error``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.formats.label_files import LabelFiles, orphans
from faster_rcnn.data.formats.yolo_description import Description, class_names, keypoint_shape
from faster_rcnn.data.formats.yolo_finding import other_descriptions, refuse_absent, sources
from faster_rcnn.data.formats.yolo_labels import (
    KeypointShape,
    Outline,
    judge_outlines,
    read_labels,
    refuse_unknown_classes,
)
from faster_rcnn.data.layout.folders import Folders, is_picture
from faster_rcnn.data.layout.listing import Fault, ListedBox, ListedImage, Listing
from faster_rcnn.data.layout.names import locate
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import first_of

FORMAT = "YOLO"


class _Picture(NamedTuple):
    """An image and its label file."""

    path: Path
    name: str
    labels: tuple[Path, ...]
    """The label file; empty where it is absent, several where they differ in letter case alone."""
    fault: Fault | None = None


class _Found(NamedTuple):
    """The images of a folder, list or single image."""

    paths: tuple[Path, ...]
    faults: dict[Path, Fault]
    notes: tuple[str, ...]


def read(
    places: Sequence[Path],
    split: str,
    description: Description,
    images: Path | None,
    folders: Folders,
    labels_required: bool = False,
) -> Listing:
    """Read one split from its image folders, lists or single images.

    With ``labels_required`` an absent label file is a fault, instead of that of an image without objects.

    Raises:
        DatasetError: a place does not exist (E101), no image has a label file (E104), a label line is no object (E103)
            or has a class without a name (E111).
    """
    listing = listed(places, split, description, images, folders, labels_required)
    annotated = ((image.annotation, image.boxes) for image in listing.images)
    refuse_unknown_classes(annotated, listing.categories or (), description.file)
    return listing


def listed(
    places: Sequence[Path],
    split: str,
    description: Description,
    images: Path | None,
    folders: Folders,
    labels_required: bool = False,
) -> Listing:
    """The listing as ``read`` gives it, in which boxes may have classes without a name."""
    root = description.root
    refuse_absent(description, split, tuple(places))
    categories, keypoints = class_names(description), keypoint_shape(description)
    found = [_images_of(place, images, root, folders) for place in places]
    label_files = LabelFiles(folders)
    paths = sorted({path for each in found for path in each.paths})
    faults = {path: fault for each in found for path, fault in each.faults.items()}
    pictures = [_Picture(path, _relative(path, root), label_files.of(path), faults.get(path)) for path in paths]
    there = [picture for picture in pictures if folders.has(picture.path)]
    _refuse_no_labels(there, label_files, split, root)
    read_ones = [
        _image(picture, label_files, root, number, keypoints, labels_required)
        for number, picture in enumerate(pictures, start=1)
    ]
    stated = sources(description, split)
    notes = [
        *_other_files(description.file),
        *(stated.notes if stated.paths == tuple(places) else ()),
        *(note for each in found for note in each.notes),
        *judge_outlines([outline for _, outlines in read_ones for outline in outlines], split),
        *([] if labels_required else _without_labels(there, label_files, split)),
        *_shared_labels(there),
        *orphans(places, paths, label_files, folders, root),
    ]
    entries = tuple(image for image, _ in read_ones)
    return Listing(FORMAT, split, places[0], entries, "cxcywh", categories, notes=tuple(notes))


def _images_of(place: Path, images: Path | None, root: Path, folders: Folders) -> _Found:
    """The images in a folder and below it, those of a list of names, or a single image."""
    if os.path.isdir(place):
        below = [place, *folders.below(place)]
        return _Found(tuple(folder / name for folder in below for name in folders.images(folder)), {}, ())
    if is_picture(place.name):
        return _Found((place,), {}, ())
    return _listed_in(place, [images] if images is not None else [place.parent, root], folders)


def _listed_in(source: Path, bases: Sequence[Path], folders: Folders) -> _Found:
    lines = [line.strip() for line in read_text(source).split("\n")]
    names = [line for line in lines if is_picture(line.replace("\\", "/").rpartition("/")[2])]
    others = sorted({line for line in lines if line} - set(names))
    located = locate(names, bases, folders)
    notes = list(located.notes)
    if others:
        notes.append(f"lines of {source.name} that name no picture that is read: {len(others)} ({first_of(others)})")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        notes.append(f"images that {source.name} lists more than once, read once: {len(twice)} ({first_of(twice)})")
    faults = {path: fault for path, fault in zip(located.paths, located.faults, strict=True) if fault is not None}
    return _Found(located.paths, faults, tuple(notes))


def _image(
    picture: _Picture,
    label_files: LabelFiles,
    root: Path,
    number: int,
    keypoints: KeypointShape | None,
    labels_required: bool,
) -> tuple[ListedImage, tuple[Outline, ...]]:
    path, name, labels, fault = picture
    source = labels[0] if labels else label_files.expected(path)
    label_name = _relative(source, root)
    outlines: tuple[Outline, ...] = ()
    boxes: tuple[ListedBox, ...] = ()
    if len(labels) > 1:
        fault = Fault(
            "E104", f"{name} has {len(labels)} label files: {first_of(each.name for each in labels)}; keep one"
        )
    elif labels:
        try:
            boxes, outlines = read_labels(source, keypoints)
        except DatasetError as error:
            if error.code != "E102":
                raise
            fault = Fault(error.code, error.text)
    elif (other := label_files.other_format(path)) is not None:
        text = f"{name} has no label file {label_name}, but {other.name}, which is no YOLO; convert it to YOLO"
        fault = Fault("E104", text)
    elif labels_required:
        fault = Fault("E104", f"{name} has no label file {label_name} (an image without objects needs an empty one)")
    return ListedImage(name, path, number, None, boxes, label_name, fault), outlines


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _refuse_no_labels(pictures: Sequence[_Picture], label_files: LabelFiles, split: str, root: Path) -> None:
    """Stop where no image has a label file: then the files are elsewhere, and the images are not background."""
    if not pictures or any(picture.labels for picture in pictures):
        return
    first = pictures[0]
    expected = [_relative(path, root) for path in label_files.candidates(first.path)]
    raise DatasetError(
        f"none of the {len(pictures)} images of {split} has a label file: for {first.name} there is no "
        f"{' or '.join(expected)}. Put the label files there; an image without objects needs none, but not all images "
        "of a split",
        code="E104",
    )


def _other_files(description: Path) -> list[str]:
    others = other_descriptions(description)
    if not others:
        return []
    return [
        f"{description.name} describes the data; not used: {first_of(others)} (to use it, give "
        f"{description.parent / others[0]} as DATA)"
    ]


def _without_labels(there: Sequence[_Picture], label_files: LabelFiles, split: str) -> list[str]:
    pictures = [picture for picture in there if label_files.other_format(picture.path) is None]
    absent = [picture.name for picture in pictures if not picture.labels]
    if not absent:
        return []
    return [
        f"images of {split} without a label file, used as background: {len(absent)} of {len(pictures)} "
        f"({first_of(absent)}); where labels should be there: --set data.missing_labels=error"
    ]


def _shared_labels(pictures: Sequence[_Picture]) -> list[str]:
    """A note on pictures of one stem, such as a.jpg and a.png, which share a label file that names none of them."""
    users: dict[Path, list[str]] = {}
    for picture in pictures:
        for source in picture.labels:
            users.setdefault(source, []).append(picture.name)
    shared = {source: names for source, names in users.items() if len(names) > 1}
    if not shared:
        return []
    source, names = next(iter(shared.items()))
    return [
        f"label files that several pictures share, so that each one gets the boxes: {len(shared)} ({source.name} of "
        f"{first_of(names)}{', ...' if len(shared) > 1 else ''}); remove the pictures that they are not for"
    ]
