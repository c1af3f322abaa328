"""PASCAL VOC: one XML per image, and lists of image names per split under ``ImageSets``.

Original VOC counts pixels from 1 and includes the last pixel, so ``x1 = xmin - 1`` and ``x2 = xmax`` in continuous
pixels (width = xmax - xmin + 1). For files that count from 0 and store edges, ``voc_offset`` 0 leaves all four numbers
unchanged. ``difficult`` objects are ignored regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.formats.decimal_commas import commas_note, decimal_commas, with_point
from faster_rcnn.data.formats.voc_lists import Entry, find_annotations, has_xml, read_list, unused_lists
from faster_rcnn.data.formats.voc_pictures import Picture, Pictures
from faster_rcnn.data.formats.voc_xml import Annotation, read_annotation
from faster_rcnn.data.layout.folders import Folders, child, folders_of, names_of
from faster_rcnn.data.layout.listing import Fault, ListedImage, Listing, split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.files import MAX_PATH

FORMAT = "VOC XML"


class _Item(NamedTuple):
    """An XML file, with the picture that a list names for it."""

    xml: Path
    stem: str
    """Path relative to the folder of annotations, without the ending."""
    picture: str = ""


class _Read(NamedTuple):
    """An XML file with its content and its picture."""

    item: _Item
    annotation: Annotation | None
    fault: Fault | None
    picture: Picture
    other: str = ""
    """Another existing picture that ``<filename>`` names."""


def find_folders(root: Path) -> dict[str, list[Path]]:
    """Folders of XML files by split: ``train/``, ``Annotations/train/``; else all of ``Annotations/`` is train."""
    annotations = find_annotations(root)
    for place in (root, annotations):
        inner = folders_of(place) if place is not None else []
        found = {split: _own_annotations(entry) for entry in inner if (split := split_of(entry.name))}
        if folders := {split: [folder] for split, folder in found.items() if folder is not None}:
            return folders
    alone = annotations or (root if names_of(root, ".xml") else None)
    return {"train": [alone]} if alone is not None else {}


def _own_annotations(folder: Path) -> Path | None:
    """The folder of a split's XML files: the split's folder, or its own ``Annotations``."""
    return find_annotations(folder) or (folder if has_xml(folder) else None)


def read(sources: Sequence[Path], split: str, images: Path | None, folders: Folders, offset: int) -> Listing:
    """Read one split: lists of names (``.txt``), or a folder of XML files with the folders in it.

    Raises:
        DatasetError: an XML file belongs to another tool (E103), or a list has no XML files beside it (E101).
    """
    source = sources[0]
    annotations = source if source.is_dir() else _annotations_of(source)
    items = _items(sources, annotations, folders)
    roots = [images] if images is not None else _image_folders(annotations)
    pictures = Pictures(roots, [item.stem for item in items], folders)
    read_ones = _refuse_shared([_read(item, annotations.name, pictures, offset) for item in items])
    listed, commas = _with_decimal_points(
        tuple(_image(one, annotations.name, number) for number, one in enumerate(read_ones, start=1))
    )
    notes = [
        f"voc_offset {offset}: {_offset_text(offset)}",
        *_from_zero(listed, offset),
        *commas,
        *_about_lists(sources, split, annotations),
        *_about_names(read_ones),
        *_about_objects([one for one in read_ones if one.annotation is not None]),
    ]
    return Listing(FORMAT, split, source, listed, "xyxy", offset=float(offset), notes=tuple(notes))


def _items(sources: Sequence[Path], annotations: Path, folders: Folders) -> list[_Item]:
    """The XML files of a split without repetition, sorted."""
    files: dict[str, str] = {}
    for folder in (annotations, *folders.below(annotations)):
        inner = "" if folder == annotations else f"{folder.relative_to(annotations).as_posix()}/"
        files |= {f"{inner}{name[: -len('.xml')]}": f"{inner}{name}" for name in names_of(folder, ".xml")}
    if sources[0].is_dir():
        return [_Item(annotations / files[stem], stem) for stem in sorted(files)]
    by_name: dict[str, list[str]] = {}
    for stem in files:
        by_name.setdefault(stem.rpartition("/")[2], []).append(stem)
    items: dict[str, _Item] = {}
    for entry in (entry for source in sources for entry in read_list(source, by_name.keys())):
        stem = _stem_of(entry, files.keys(), by_name)
        items[stem] = _Item(annotations / files.get(stem, f"{stem}.xml"), stem, entry.picture)
    return [items[stem] for stem in sorted(items)]


def _stem_of(entry: Entry, stems: Set[str], by_name: dict[str, list[str]]) -> str:
    """The stem of the XML of a list entry: the longest end of its path that is one, else a name that is unique."""
    steps = entry.stem[-MAX_PATH:].split("/")
    ends = ("/".join(steps[start:]) for start in range(len(steps)))
    inside = by_name.get(steps[-1], [])
    return next((end for end in ends if end in stems), inside[0] if len(inside) == 1 else steps[-1])


def _offset_text(offset: int) -> str:
    if offset == 0:
        return "box corners are taken as they are"
    return (
        f"pixels are counted from {offset}, so {offset} is subtracted from xmin and ymin "
        "(files that count from 0: --set data.voc_offset=0)"
    )


def _from_zero(images: Iterable[ListedImage], offset: int) -> list[str]:
    """A line with evidence that files count from 0 although they are read as counting from 1."""
    boxes = [box for image in images for box in image.boxes if {"0", "0.0"} & set(map(str, box.written[:2]))]
    if not boxes or offset == 0:
        return []
    return [f"xmin or ymin is 0 in {len(boxes)} boxes: these files seem to count from 0: --set data.voc_offset=0"]


def _annotations_of(source: Path) -> Path:
    for folder in source.parents[:3]:
        annotations = find_annotations(folder)
        if annotations is not None:
            return annotations
    raise DatasetError(
        f"{source} is a list of names, but there is no folder Annotations with XML files beside or above it",
        code="E101",
    )


def _image_folders(annotations: Path) -> list[Path]:
    """The usual folders of pictures, nearest first: names such as 0.jpg also occur in folders outside of the data."""
    up = annotations.parent
    bases = (annotations, up, up.parent)
    inner = [child(base, "JPEGImages", "images", "img") for base in bases]
    split = split_of(annotations.name)
    own = [
        entry for folder in inner if split and folder for entry in folders_of(folder) if split_of(entry.name) == split
    ]
    near = [*own, *(place for pair in zip(inner, bases, strict=True) for place in pair)]
    return [place for place in near[:-1] if place is not None and place.is_dir()]


def _read(item: _Item, folder: str, pictures: Pictures, offset: int) -> _Read:
    annotation = read_annotation(item.xml, f"{folder}/{item.stem}.xml", offset)
    if isinstance(annotation, Fault):
        return _Read(item, None, annotation, pictures.of(item.stem, item.picture))
    found = pictures.of(item.stem, item.picture, annotation.file_name)
    return _Read(item, annotation, found.fault, found, pictures.another(found, annotation.file_name))


def _refuse_shared(read_ones: Sequence[_Read]) -> list[_Read]:
    """Give a fault to all but the first of several XML files for one picture."""
    users: dict[Path, _Read] = {}
    kept = []
    for one in read_ones:
        first = users.setdefault(one.picture.path, one)
        text = f"{one.item.stem}.xml is for {one.picture.name}, which {first.item.stem}.xml annotates, too"
        kept.append(one if first is one or one.fault is not None else one._replace(fault=Fault("E104", text)))
    return kept


def _image(one: _Read, folder: str, number: int) -> ListedImage:
    boxes, size = (one.annotation.boxes, one.annotation.size) if one.annotation is not None else ((), None)
    return ListedImage(
        one.picture.name, one.picture.path, number, size, boxes, f"{folder}/{one.item.stem}.xml", one.fault
    )


def _with_decimal_points(images: tuple[ListedImage, ...]) -> tuple[tuple[ListedImage, ...], list[str]]:
    """The images with ``10,5`` in their boxes read as 10.5, and a note about such numbers."""
    written = (value for image in images for box in image.boxes for value in box.written if isinstance(value, str))
    commas = decimal_commas(written)
    if not commas:
        return images, []
    return tuple(map(_with_points, images)), [commas_note(commas)]


def _with_points(image: ListedImage) -> ListedImage:
    boxes = (
        box._replace(written=tuple(with_point(value) if isinstance(value, str) else value for value in box.written))
        for box in image.boxes
    )
    return image._replace(boxes=tuple(boxes))


def _about_lists(sources: Sequence[Path], split: str, annotations: Path) -> list[str]:
    notes = []
    if len(sources) > 1:
        notes.append(f"{split} is all images of {len(sources)} lists: {first_of(source.name for source in sources)}")
    root = next((folder for folder in sources[0].parents[:3] if find_annotations(folder) == annotations), annotations)
    unused = unused_lists(root) if split == "train" else []
    if unused:
        notes.append(
            f"lists of images that belong to no split and are not used: {len(unused)} ({first_of(unused)}); one of "
            "them can be chosen: --set data.train=FILE"
        )
    return notes


def _about_names(read_ones: Sequence[_Read]) -> list[str]:
    stale = [f"{one.item.stem}.xml: {one.other}" for one in read_ones if one.other]
    if not stale:
        return []
    return [
        f"XML files whose <filename> is another picture that is there: {len(stale)} ({first_of(stale)}); the picture "
        "with the name of the XML is used"
    ]


def _about_objects(read_ones: Sequence[_Read]) -> list[str]:
    named = [(one.item.xml.name, one.annotation) for one in read_ones if one.annotation is not None]
    unclear = [f"{name}: '{word}'" for name, annotation in named for word in annotation.unclear]
    rotated = [f"{name}: {annotation.rotated}" for name, annotation in named if annotation.rotated]
    repeated = [name for name, annotation in named if annotation.repeated]
    found = (
        (unclear, f"values of <difficult> that mean neither yes nor no, read as no: {len(unclear)}"),
        (rotated, f"boxes around rotated boxes (<robndbox>), in files: {len(rotated)}"),
        (repeated, f"files with several <bndbox> in an object, of which the first is read: {len(repeated)}"),
    )
    return [f"{text} ({first_of(examples)})" for examples, text in found if examples]
