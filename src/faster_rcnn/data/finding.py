"""Which format is it, and where do its splits stand? Looks at folders and names; hardly a file is read for that."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.formats import coco, coco_files, table, voc, voc_lists, yolo, yolo_finding
from faster_rcnn.data.formats.table_text import has_known_header
from faster_rcnn.data.layout.folders import (
    IMAGE_SUFFIXES,
    UNREAD_SUFFIXES,
    entries_of,
    files_of,
    first_of,
    folders_of,
    is_picture,
    nearby,
)
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

ORDER = ("train", "val", "test")
_EXPECTED = (
    "COCO (annotations/train.json), VOC (Annotations/*.xml), YOLO (data.yaml) or CSV (train.csv: "
    "image,xmin,ymin,xmax,ymax,label)"
)


_MAX_LEVELS = 8
"""So many folders, each alone in the one above, are entered for the data set in the last of them."""
_OTHER_TABLES = (".tsv", ".tab", ".xlsx", ".xls", ".ods", ".parquet")


class Part(NamedTuple):
    """Where one split stands."""

    format: str
    sources: tuple[Path, ...]
    description: Path | None = None
    """YOLO's ``data.yaml``."""


def find(data: Path, root: Path, settings: DataConfig) -> dict[str, Part]:
    """Parts by split: those named in the settings, the others by looking."""
    named = {name: value for name in ORDER if (value := getattr(settings, name)) is not None}
    if not named:
        return _look_at_folder(data) if data.is_dir() else _look_at_file(data)
    parts = {name: _part(existing(value, root, name), root, name) for name, value in named.items()}
    formats = sorted({part.format for part in parts.values()})
    if len(formats) > 1:
        raise DatasetError(f"the splits given by --set are of different formats: {', '.join(formats)}", code="E101")
    # What cannot be told apart by looking is what these settings are for.
    with contextlib.suppress(DatasetError):
        found = _look_at_folder(data) if data.is_dir() else _look_at_file(data)
        parts = {name: part for name, part in found.items() if part.format == formats[0]} | parts
    return parts


def existing(value: str, root: Path, key: str) -> Path:
    """A path of the settings, seen from the data or from the working folder."""
    for candidate in (root / value, Path(value)):
        if os.path.exists(candidate):
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
    known = "an image" if is_picture(data.name) else "one XML" if ending == ".xml" else f"a '{ending}' file"
    kind = known if os.path.isfile(data) else "no regular file"
    raise DatasetError(f"{data} is {kind}; labelled images are a folder or file of {_EXPECTED}", code="E101")


def _look_at_folder(root: Path) -> dict[str, Part]:
    """The parts of a folder; raises for one that holds none."""
    if not (parts := _parts_in(root)):
        raise _unknown(root)
    return parts


def _parts_in(root: Path) -> dict[str, Part]:
    """The first format that fits, nothing if none does; the ones that say their splits go before those that do not."""
    splits = coco_files.find_splits(root)
    if splits and ("train" in splits or not _yolo_beside(root)):
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
    if files := files_of(root, ".csv"):
        return _parts(table.FORMAT, table.find_files(files))
    return {}


def _yolo_beside(root: Path) -> dict[str, Part]:
    """The splits of a YOLO description in a folder that is described in COCO JSON as well; none where it is no use."""
    try:
        description = yolo_finding.find_description(root)
        return _yolo_parts(description) if description is not None else {}
    except DatasetError:
        return {}


def other_descriptions(root: Path, parts: dict[str, Part]) -> list[str]:
    """A line where a folder is described in several formats: which was taken, and which others are there."""
    taken = next(iter(parts.values()))
    others = [
        f"{place} ({name})" for name, place in _descriptions(root).items() if name != taken.format and place is not None
    ]
    if not others:
        return []
    used = taken.description or taken.sources[0]
    return [
        f"{root.name} is described by {used} ({taken.format}), which is used, and by {first_of(others)}, which is used "
        "if it is the DATA"
    ]


def _descriptions(root: Path) -> dict[str, Path | None]:
    """What describes a folder in each of the formats, whichever is taken."""
    tables = [file for file in files_of(root, ".csv") if has_known_header(file)]
    annotations = voc_lists.find_annotations(root)
    yolo_parts = _yolo_beside(root)
    try:
        coco_files_found = list(coco_files.find_splits(root).values())
    except DatasetError:
        coco_files_found = []
    return {
        yolo.FORMAT: next(iter(yolo_parts.values())).description if yolo_parts else None,
        coco.FORMAT: next(iter(coco_files_found), None),
        voc.FORMAT: annotations,
        table.FORMAT: next(iter(tables), None),
    }


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
    advice, other_tool = yolo_finding.advice(root), coco_files.of_other_tool(root)
    inner = _data_sets_in(root)
    tables = [entry.name for entry in entries if entry.suffix.lower() in _OTHER_TABLES]
    files = [name for place in (root, *folders_of(root)) for name in sorted(_endings(place))]
    others = sorted(set(files) - IMAGE_SUFFIXES - UNREAD_SUFFIXES)
    reasons = {
        other_tool or "": other_tool is not None,
        f"a data set is in {first_of(inner)}, which can be the DATA": bool(inner),
        advice or "": advice is not None,
        "it holds TFRecord files, which are not read": ".tfrecord" in files,
        "it is empty": not entries,
        f"it holds {first_of(tables)}, and tables are read as CSV: save it as train.csv": bool(tables),
        f"it holds {first_of(others)} files, none of which is read as annotations": bool(others),
        "it holds images, but nothing that says where the objects are": bool(files),
        f"it holds {first_of(entry.name for entry in entries)}": True,
    }
    what = next(reason for reason, applies in reasons.items() if applies)
    return DatasetError(f"{root} has no annotations that are known: {what}. Known are {_EXPECTED}", code="E101")


def _endings(folder: Path) -> set[str]:
    return {entry.suffix.lower() or entry.name for entry in entries_of(folder) if entry.is_file()}


def _data_sets_in(root: Path) -> list[Path]:
    """Folders of a folder, or of the only one in it, that are data sets: archives are often unpacked one too deep."""
    for _ in range(_MAX_LEVELS):
        inner = folders_of(root)
        found = [folder for folder in inner if _is_data_set(folder)]
        if found or len(inner) != 1:
            return found
        root = inner[0]
    return []


def _is_data_set(folder: Path) -> bool:
    try:
        return bool(_parts_in(folder))
    except DatasetError:
        return False
