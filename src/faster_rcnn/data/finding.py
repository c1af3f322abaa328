"""Recognition of the format of a data set and the places of its splits, by folders and names; few files are read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.formats import coco, coco_files, table, voc, voc_lists, yolo, yolo_finding
from faster_rcnn.data.formats.table_text import has_known_header
from faster_rcnn.data.formats.yolo_description import Description, describe
from faster_rcnn.data.layout.folders import (
    IMAGE_SUFFIXES,
    UNREAD_SUFFIXES,
    entries_of,
    files_of,
    folders_of,
    is_picture,
    nearby,
)
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.settings.schema import DataConfig

ORDER = ("train", "val", "test")
_EXPECTED = (
    "COCO (annotations/train.json), VOC (Annotations/*.xml), YOLO (data.yaml) or CSV (train.csv: "
    "image,xmin,ymin,xmax,ymax,label)"
)


_MAX_LEVELS = 8
"""Maximum depth of nested single folders that are entered in search of a data set."""
_OTHER_TABLES = (".tsv", ".tab", ".xlsx", ".xls", ".ods", ".parquet")


class Part(NamedTuple):
    """The format and the places of one split."""

    format: str
    sources: tuple[Path, ...]
    description: Description | None = None
    """YOLO's ``data.yaml``, read once for all splits."""


def find(data: Path, root: Path, settings: DataConfig) -> dict[str, Part]:
    """Parts by split: splits that the settings name, and those that are recognised in the folder."""
    named = {name: value for name in ORDER if (value := getattr(settings, name)) is not None}
    if not named:
        return _parts_of(data)
    parts = {name: _part(existing(value, root, name), root, name) for name, value in named.items()}
    formats = sorted({part.format for part in parts.values()})
    if len(formats) > 1:
        raise DatasetError(f"the splits given by --set are of different formats: {', '.join(formats)}", code="E101")
    # These settings are for folders in which the splits are not recognised, so an error is none here.
    with contextlib.suppress(DatasetError):
        parts = {name: part for name, part in _parts_of(data).items() if part.format == formats[0]} | parts
    return parts


def existing(value: str, root: Path, key: str) -> Path:
    """A path of the settings, relative to the data or to the working folder; raises E101 where there is none."""
    for candidate in (root / value, Path(value)):
        if os.path.exists(candidate):
            return candidate
    raise DatasetError(
        f"{root / value} does not exist (from --set data.{key}={value}).{nearby(root / value)} Nothing was downloaded",
        code="E101",
    )


def _part(path: Path, root: Path, split: str) -> Part:
    """The part that a file or folder of the settings is."""
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
    return next(iter(_parts_of(path).values()))


def _annotations_in(folder: Path) -> bool:
    return any(files_of(folder, ending) for ending in (".json", ".xml", ".csv"))


def _parts_of(data: Path) -> dict[str, Part]:
    """The parts of a folder or of a single file, by split."""
    return _parts_of_folder(data) if data.is_dir() else _parts_of_file(data)


def _parts_of_file(data: Path) -> dict[str, Part]:
    ending = data.suffix.lower()
    split = split_of(data.stem) or "train"
    if ending == ".json":
        return {split: Part(coco.FORMAT, (data,))}
    if ending == ".csv":
        return {split: Part(table.FORMAT, (data,))}
    if ending in (".yaml", ".yml", ".data"):
        return _yolo_parts(describe(data))
    known = "an image" if is_picture(data.name) else "one XML" if ending == ".xml" else f"a '{ending}' file"
    kind = known if os.path.isfile(data) else "no regular file"
    raise DatasetError(f"{data} is {kind}; labelled images are a folder or file of {_EXPECTED}", code="E101")


def _parts_of_folder(root: Path) -> dict[str, Part]:
    """The parts of a folder; raises ``DatasetError`` for a folder without any."""
    if not (parts := _parts_in(root)):
        raise _unknown(root)
    return parts


def _parts_in(root: Path) -> dict[str, Part]:
    """Parts of the first format that fits; formats that name their splits come before those that do not."""
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
    """The splits of a YOLO description in a folder that has COCO JSON, too; empty where it cannot be used."""
    try:
        description = yolo_finding.find_description(root)
        return _yolo_parts(description) if description is not None else {}
    except DatasetError:
        return {}


def other_descriptions(root: Path, parts: dict[str, Part]) -> list[str]:
    """A line for a folder that is described in several formats: the format that is used, and the others."""
    taken = next(iter(parts.values()))
    others = [
        f"{place} ({name})"
        for name, find_place in _DESCRIPTIONS.items()
        if name != taken.format and (place := find_place(root)) is not None
    ]
    if not others:
        return []
    used = taken.sources[0] if taken.description is None else taken.description.file
    return [
        f"{root.name} is described by {used} ({taken.format}), which is used, and by {first_of(others)}, which is used "
        "if it is the DATA"
    ]


def _yolo_description(root: Path) -> Path | None:
    description = next(iter(_yolo_beside(root).values()), Part(yolo.FORMAT, ())).description
    return None if description is None else description.file


def _coco_file(root: Path) -> Path | None:
    try:
        return next(iter(coco_files.find_splits(root).values()), None)
    except DatasetError:
        return None


def _table(root: Path) -> Path | None:
    return next((file for file in files_of(root, ".csv") if has_known_header(file)), None)


_DESCRIPTIONS = {
    yolo.FORMAT: _yolo_description,
    coco.FORMAT: _coco_file,
    voc.FORMAT: voc_lists.find_annotations,
    table.FORMAT: _table,
}
"""For each format, the function that finds what describes a folder in it; none where nothing does."""


def _parts(name: str, splits: dict[str, Path]) -> dict[str, Part]:
    return {split: Part(name, (source,)) for split, source in splits.items()}


def _yolo_parts(description: Description) -> dict[str, Part]:
    splits = yolo_finding.find_splits(description)
    if not splits:
        raise DatasetError(
            f"{description.file} names no images: it needs 'train: FOLDER', and 'val: FOLDER' where there is "
            "validation",
            code="E101",
        )
    return {name: Part(yolo.FORMAT, tuple(sources), description) for name, sources in splits.items()}


def _unknown(root: Path) -> DatasetError:
    """The error for a folder without annotations; the message names what it holds instead."""
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
        "it holds images, but no annotations of objects": bool(files),
        f"it holds {first_of(entry.name for entry in entries)}": True,
    }
    what = next(reason for reason, applies in reasons.items() if applies)
    return DatasetError(f"{root} has no annotations that are known: {what}. Known are {_EXPECTED}", code="E101")


def _endings(folder: Path) -> set[str]:
    return {entry.suffix.lower() or entry.name for entry in entries_of(folder) if entry.is_file()}


def _data_sets_in(root: Path) -> list[Path]:
    """Data sets in a folder, or in the only folder in it: archives are often unpacked one level too deep."""
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
