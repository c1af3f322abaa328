"""Lists of image names that assign the images of a VOC data set to splits.

VOC's own lists are ``ImageSets/Main/train.txt``. PaddleDetection writes pairs of picture and XML into ``train.txt`` at
the top; VoTT writes a list per class (``cat_train.txt``) whose second column marks images that contain the class.
"""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from faster_rcnn.data.layout.folders import IMAGE_SUFFIXES, UNREAD_SUFFIXES, child, files_of, folders_of, names_of
from faster_rcnn.data.layout.listing import SPLITS, by_split
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.files import MAX_PATH

_PAIR = re.compile(r"(?P<image>.+\.\w+)\s+(?P<xml>.+\.xml)", re.IGNORECASE)
_COLUMNS = re.compile(r"(?P<name>.*?\S)(\s+-?\d+)+")
_CLASS_COLUMN = re.compile(r".*\S\s+(-1|0|1)")


class Entry(NamedTuple):
    """One line of a list."""

    stem: str
    """Path of the XML or picture without its ending, as in the line."""
    picture: str = ""
    """Name of the picture, where the line has its ending."""


def find_annotations(root: Path) -> Path | None:
    """The folder of XML files of a data set, which may be one folder deeper (``Annotations/train``).

    Without ``Annotations`` the XML files are beside the pictures.
    """
    folder = child(root, "Annotations", "xmls")
    inner = child(folder, "xmls") if folder is not None and folder.is_dir() else None  # as in Oxford-IIIT Pet
    named = next((each for each in (inner, folder) if each is not None and has_xml(each)), None)
    beside = (child(root, "JPEGImages", "images", "img"), root)
    return named or next((each for each in beside if each is not None and names_of(each, ".xml")), None)


def has_xml(folder: Path) -> bool:
    """Whether a folder, or a folder in it, has XML files."""
    return bool(names_of(folder, ".xml")) or any(names_of(inner, ".xml") for inner in folders_of(folder))


def find_lists(root: Path) -> dict[str, list[Path]]:
    """Lists of image names by split, from the first folder with any; VOC's ``trainval`` is used without train and val.

    Raises:
        DatasetError: several lists may be that of one split (E101).
    """
    return _first_by_split(_lists_by_place(root))


def unused_lists(root: Path) -> list[str]:
    """Names, relative to the data set, of lists of images that belong to no split."""
    lists_by_place = _lists_by_place(root)
    used = {file for files in _first_by_split(lists_by_place).values() for file in files}
    found = [file for lists in lists_by_place for file in lists if file not in used]
    return [file.relative_to(root).as_posix() for file in found]


def _lists_by_place(root: Path) -> list[list[Path]]:
    """Text files that list images which have an XML, folder by folder."""
    annotations = find_annotations(root)
    if annotations is None:
        return []
    sets = child(root, "ImageSets")
    main = child(sets, "Main") if sets is not None else None
    places = [place for place in (main, sets, root, annotations, annotations.parent) if place is not None]
    stems = _known_stems(annotations)
    return [
        [file for file in files_of(place, ".txt") if place == main or _is_list(file, stems)]
        for place in dict.fromkeys(places)
    ]


def _known_stems(annotations: Path) -> frozenset[str]:
    """Names, without endings, of the XML files in a folder and in its folders."""
    places = (annotations, *folders_of(annotations))
    return frozenset(name[: -len(".xml")] for place in places for name in names_of(place, ".xml"))


def _is_list(file: Path, stems: Set[str]) -> bool:
    """Whether one of the first lines names an image with an XML; a list of classes or a readme does not."""
    try:
        lines = read_text(file).split("\n")
    except DatasetError:
        return file.stem.lower() in SPLITS  # the error is raised when the list is read
    filled = [line.strip() for line in lines if line.strip()][:50]
    return any(PurePosixPath(parse_line(line, stems).stem).name in stems for line in filled)


def _first_by_split(lists_by_place: list[list[Path]]) -> dict[str, list[Path]]:
    return next((chosen for lists in lists_by_place if (chosen := _lists_by_split(lists))), {})


def _lists_by_split(lists: list[Path]) -> dict[str, list[Path]]:
    exact = by_split((SPLITS.get(file.stem.lower()), file) for file in lists)
    trainval = next((file for file in lists if file.stem.lower() == "trainval"), None)
    if trainval is not None and not {"train", "val"} & exact.keys():
        exact["train"] = [trainval]
    if exact:
        return {split: _only(files, split) for split, files in exact.items()}
    # cat_train.txt; for a class with the name train, train_val.txt is the list for validation.
    ends = by_split((_last_word(file.stem), file) for file in lists)
    return {split: files if all(map(_is_class_list, files)) else _only(files, split) for split, files in ends.items()}


def _last_word(stem: str) -> str | None:
    """The split that the last of several words of a name is; none where it is none."""
    words = re.split(r"[_-]", stem.lower())
    return SPLITS.get(words[-1]) if len(words) > 1 else None


def _only(files: list[Path], split: str) -> list[Path]:
    """One of several lists with the same lines; raises E101 where their lines differ."""
    if len({tuple(sorted(read_text(file).split())) for file in files}) > 1:
        raise DatasetError(
            f"{first_of(str(file) for file in files)} may all be the list of {split}; choose one: "
            f"--set data.{split}=FILE",
            code="E101",
        )
    return files[:1]


def _is_class_list(file: Path) -> bool:
    lines = [line.strip() for line in read_text(file).split("\n") if line.strip()]
    return bool(lines) and all(len(line) < MAX_PATH and _CLASS_COLUMN.fullmatch(line) for line in lines)


def read_list(file: Path, stems: Set[str]) -> list[Entry]:
    """Read the images of a list; raises E102 where it is not text."""
    return [parse_line(line.strip(), stems) for line in read_text(file).split("\n") if line.strip()]


def parse_line(line: str, stems: Set[str]) -> Entry:
    """Parse a line: a name, a picture, or a picture and its XML, each possibly followed by columns of integers.

    ``stems`` are the names of XML files; they decide whether ``photo 12`` is a name or has a column.
    """
    text = line.replace("\\", "/")
    if len(text) > MAX_PATH:
        return Entry(text)
    if pair := _PAIR.fullmatch(text):
        return Entry(_stem(pair["xml"]), PurePosixPath(pair["image"]).name)
    columns = _COLUMNS.fullmatch(text)
    if columns and PurePosixPath(_stem(text)).name not in stems:
        text = columns["name"]
    ending = PurePosixPath(text).suffix.lower()
    return Entry(_stem(text), PurePosixPath(text).name if ending in IMAGE_SUFFIXES else "")


def _stem(name: str) -> str:
    """A path without its ending."""
    path = PurePosixPath(name)
    known = path.suffix.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES | {".xml"}
    return path.with_suffix("").as_posix() if known else path.as_posix()
