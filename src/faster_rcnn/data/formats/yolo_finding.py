"""Search for the description of a YOLO data set, and for the folders and lists that it names.

The paths of a description are often those of another machine or folder. They are then also tried below the data set:
without their first ``../``, without ``path``, and without their first part, their first two parts, and so on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from faster_rcnn.data.formats.yolo_description import (
    Description,
    describe,
    description_of,
    load_darknet,
    load_yaml,
    usual_splits,
)
from faster_rcnn.data.formats.yolo_labels import is_label_text
from faster_rcnn.data.layout.folders import child, files_of, folders_of, nearby
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import cut, first_of
from faster_rcnn.system.files import MAX_PATH, read_bytes

_CLASS_FILES = ("classes.txt", "obj.names", "class.names", "classes.names")
"""Lists of class names, one per line, that tools write instead of a ``data.yaml``."""
_REPEATED = re.compile(r"(\*\*/+){2,}")
"""A pattern with the meaning of ``**/`` that takes a hundred times as long."""
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


class Sources(NamedTuple):
    """The places of the images of a split."""

    paths: tuple[Path, ...]
    """Folders, lists and single images; an absent one is the place where it was expected."""
    notes: tuple[str, ...]


def find_description(root: Path) -> Description | None:
    """``data.yaml``, else the only YAML with ``names``, darknet's ``obj.data``, or a list of classes beside labels.

    Raises:
        DatasetError: several YAML files describe data, none of them ``data.yaml`` (E101), or the description is broken
            (E102, E103).
    """
    files = files_of(root, ".yaml") + files_of(root, ".yml")
    named = [file for file in files if file.stem.lower() in ("data", "dataset")]
    for file in named:
        if "names" in (content := load_yaml(file)):
            return description_of(file, content)
    others = [(file, content) for file in files if _mentions_names(file) and "names" in (content := load_yaml(file))]
    if len(others) > 1:
        raise DatasetError(
            f"{root} has several files that may describe the data: {first_of(file.name for file, _ in others)}; "
            f"give one of them as DATA, such as {others[0][0]}",
            code="E101",
        )
    darknet = [(file, content) for file in files_of(root, ".data") if "names" in (content := load_darknet(file))]
    if found := [*others, *darknet]:
        return description_of(*found[0])
    classes = _class_file(root)
    return None if classes is None else describe(classes)


def other_descriptions(description: Path) -> list[str]:
    """Names of other YAML files beside a description that also name classes."""
    files = files_of(description.parent, ".yaml") + files_of(description.parent, ".yml")
    return [file.name for file in files if file != description and _mentions_names(file)]


def _mentions_names(file: Path) -> bool:
    try:
        return b"names" in read_bytes(file).replace(b"\0", b"")  # UTF-16 has a zero byte in each Latin letter
    except OSError:
        return False


def _class_file(root: Path) -> Path | None:
    """A list of classes beside labels; without labels it may belong to any format."""
    labels = child(root, "labels")
    places = [root, *([labels] if labels is not None else [])]
    found = next((file for place in places if (file := child(place, *_CLASS_FILES)) is not None), None)
    return found if found is not None and _has_labels(root if labels is None else labels) else None


def _has_labels(folder: Path) -> bool:
    """Whether a text file in a folder, or one level below, holds labels; a sample of the files is read."""
    places = (folder, *folders_of(folder))
    texts = [file for place in places for file in files_of(place, ".txt")[:20]]
    return any(_is_label_file(file) for file in texts if file.name.lower() not in _CLASS_FILES)


def _is_label_file(file: Path) -> bool:
    try:
        return is_label_text(read_text(file))
    except DatasetError:
        return False


def advice(root: Path) -> str | None:
    """The lines to write where labels exist but no description; ``None`` where there are no labels."""
    inside = [folder for folder in folders_of(root) if split_of(folder.name) and child(folder, "labels") is not None]
    if child(root, "labels", "obj.data", "obj.names") is None and not inside and not _has_labels(root):
        return None
    names = "'names: [FIRST, SECOND]', which holds the class names in the order of their numbers"
    files = files_of(root, ".yaml") + files_of(root, ".yml")
    if files:
        return f"it looks like YOLO, but {files[0].name} has no class names: add the line {names}"
    splits = [f"'{split}: {parts[0]}'" for split, parts in usual_splits(root).items()] or ["'train: FOLDER'"]
    return (
        f"it looks like YOLO, but has no data.yaml: write {root / 'data.yaml'} with the lines {', '.join(splits)} and "
        f"{names}"
    )


def find_splits(description: Description) -> dict[str, list[Path]]:
    """Image folders, or text files of image names, by split; whether they exist is checked as a split is read."""
    return {split: list(sources(description, split).paths) for split in description.splits}


def sources(description: Description, split: str) -> Sources:
    """The places of a split's images, and notes on paths that were found in another place than the description has."""
    paths: list[Path] = []
    notes = []
    for part in description.splits.get(split, ()):
        found = list(_existing(description, part, split))
        paths += found[0] if found else [description.root / description.base / part]
        if found and _is_foreign(part):
            notes.append(f"{description.file.name} has '{split}: {part}', which is read from {first_of(found[0], 2)}")
        if len(found) > 1 and part.startswith("../"):
            notes.append(
                f"'{split}: {part}' of {description.file.name} is {found[0][0]}; {found[1][0]} exists, too, and is not "
                "used"
            )
    return Sources(tuple(paths), tuple(notes))


def _is_foreign(part: str) -> bool:
    return "\\" in part or (_ABSOLUTE.match(part) is not None and not os.path.exists(part))


def _existing(description: Description, part: str, split: str) -> Iterator[list[Path]]:
    """Existing places that a path may mean, best first; a pattern stands for everything that fits it."""
    given: set[str] = set()
    for text in dict.fromkeys((part, part.replace("\\", "/"))):
        for place, rest in _candidates(description, text, split):
            matches = [place / rest] if os.path.exists(place / rest) else _fitting(place, rest)
            real = {os.path.realpath(match) for match in matches}
            if matches and given.isdisjoint(real):
                given |= real
                yield matches


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _fitting(place: Path, pattern: str) -> list[Path]:
    """Paths that fit a pattern; empty where it is none, or would search all folders of the machine."""
    if len(pattern) > MAX_PATH:
        return []
    first, *_ = PurePosixPath(pattern).parts or ("",)
    if not _is_pattern(pattern) or (_is_disk(place) and _is_pattern(first)):
        return []
    try:
        found = sorted(place.glob(_REPEATED.sub("**/", pattern)))
    except (OSError, ValueError, RecursionError):  # ValueError: two stars beside letters, or a zero byte
        return []
    return [match for match in found if not match.name.startswith(".")]


def _candidates(description: Description, text: str, split: str) -> Iterator[tuple[Path, str]]:
    """Pairs (folder, path in it): the path as it is written, without ``../``, and the ends of foreign paths."""
    root, base = description.root, description.base.replace("\\", "/")
    absolute = _ABSOLUTE.match(text) is not None
    if absolute:
        yield Path(PurePosixPath(text).anchor or "."), text.lstrip("/")
    else:
        yield root / base, text
        yield root, text
        yield root, re.sub(r"^(\.\./)+", "", text)
    steps = [step for step in PurePosixPath(text if absolute else f"{base}/{text}").parts if step not in ("..", "/")]
    own = len([step for step in PurePosixPath(text).parts if step != ".."])
    for start in range(1, len(steps)):
        end = steps[start:]
        whole = not absolute and len(end) >= own  # only parts of ``path`` are left out
        # The last part alone, such as 'images', may be the folder of another split.
        own_list = text.endswith(".txt") and not _ends_alike(description, end[0], split)
        foreign = (absolute or text.endswith(".txt")) and (len(end) > 1 or split_of(end[0]) == split or own_list)
        if whole or foreign:
            yield root, "/".join(end)


def _ends_alike(description: Description, name: str, split: str) -> bool:
    """Whether a path of another split ends in the same name."""
    others = [part for other, parts in description.splits.items() if other != split for part in parts]
    return any(PurePosixPath(part.replace("\\", "/")).name == name for part in others)


def _is_disk(path: Path) -> bool:
    """Whether a folder is the root of the file system, which contains all pictures of the machine."""
    real = os.path.realpath(path)
    return os.path.dirname(real) == real


def _refuse_whole_disk(description: Description, split: str, paths: tuple[Path, ...]) -> None:
    if any(map(_is_disk, paths)):
        raise DatasetError(
            f"{description.file} has '{split}: {first_of(description.splits.get(split, ()))}', which is the whole "
            f"file system; name a folder of images there, or give it: --set data.{split}=FOLDER",
            code="E101",
        )


def refuse_absent(description: Description, split: str, paths: tuple[Path, ...]) -> None:
    """Stop where a folder, list or image of a split does not exist (E101)."""
    absent = next((path for path in paths if not os.path.exists(path)), None)
    if absent is None:
        _refuse_whole_disk(description, split, paths)
        return
    parts = description.splits.get(split, ())
    part = next((part for part in parts if absent.as_posix().endswith(part)), first_of(parts))
    raise DatasetError(
        f"{cut(str(absent), 300)} does not exist (from '{split}: {cut(part)}' in {description.file}).{nearby(absent)} "
        f"Correct the path there, or give the folder: --set data.{split}=FOLDER. Nothing was downloaded",
        code="E101",
    )
