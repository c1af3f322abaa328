"""Finding what describes a YOLO data set, and the folders and lists that it names.

The paths of a description are often those of another machine or folder. They are then also tried below the data set:
without their first ``../``, without ``path``, and from their second, third, ... step on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from faster_rcnn.data.formats.yolo_description import Description, describe, load_darknet, load_yaml, usual_splits
from faster_rcnn.data.formats.yolo_labels import looks_like_labels
from faster_rcnn.data.layout.folders import child, files_of, first_of, folders_of, nearby
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import cut
from faster_rcnn.system.files import MAX_PATH, read_bytes

_CLASS_FILES = ("classes.txt", "obj.names", "class.names", "classes.names")
"""Lists of class names, one a line, that tools write where there is no ``data.yaml``."""
_REPEATED = re.compile(r"(\*\*/+){2,}")
"""Means what ``**/`` means, and takes a hundred times as long."""
_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


class Sources(NamedTuple):
    """Where the images of a split are."""

    paths: tuple[Path, ...]
    """Folders, lists and single images; where one does not exist, the place where it was expected."""
    notes: tuple[str, ...]


def find_description(root: Path) -> Path | None:
    """``data.yaml``, else the only YAML with ``names``, darknet's ``obj.data``, or a list of classes beside labels.

    Raises:
        DatasetError: several YAML files describe data, none of them ``data.yaml`` (E101), or one is broken (E102).
    """
    files = files_of(root, ".yaml") + files_of(root, ".yml")
    named = [file for file in files if file.stem.lower() in ("data", "dataset")]
    for file in named:
        if "names" in load_yaml(file):
            return file
    others = [file for file in files if _mentions_names(file) and "names" in load_yaml(file)]
    if len(others) > 1:
        raise DatasetError(
            f"{root} has several files that may describe the data: {first_of(file.name for file in others)}; "
            f"give one of them as DATA, such as {others[0]}",
            code="E101",
        )
    darknet = [file for file in files_of(root, ".data") if "names" in load_darknet(file)]
    return next(iter([*others, *darknet]), None) or _class_file(root)


def other_descriptions(description: Path) -> list[str]:
    """Names of the YAML files beside a description that name classes, too."""
    files = files_of(description.parent, ".yaml") + files_of(description.parent, ".yml")
    return [file.name for file in files if file != description and _mentions_names(file)]


def _mentions_names(file: Path) -> bool:
    try:
        return b"names" in read_bytes(file).replace(b"\0", b"")  # UTF-16 has a zero byte with each letter
    except OSError:
        return False


def _class_file(root: Path) -> Path | None:
    """A list of classes beside labels; alone it may belong to any format."""
    labels = child(root, "labels")
    places = [root, *([labels] if labels is not None else [])]
    found = next((file for place in places if (file := child(place, *_CLASS_FILES)) is not None), None)
    return found if found is not None and _has_labels(root if labels is None else labels) else None


def _has_labels(folder: Path) -> bool:
    """Whether a text file in a folder, or one folder below, holds labels; a sample of them is read."""
    places = (folder, *folders_of(folder))
    texts = [file for place in places for file in files_of(place, ".txt")[:20]]
    return any(_is_label_file(file) for file in texts if file.name.lower() not in _CLASS_FILES)


def _is_label_file(file: Path) -> bool:
    try:
        return looks_like_labels(read_text(file))
    except DatasetError:
        return False


def advice(root: Path) -> str | None:
    """What to write where labels are there but nothing describes them; none where there are no labels."""
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


def find_splits(description: Path) -> dict[str, list[Path]]:
    """Image folders, or text files of image names, by split; whether they exist is asked when a split is read."""
    content = describe(description)
    return {split: list(sources(content, split).paths) for split in content.splits}


def sources(description: Description, split: str) -> Sources:
    """Where the images of a split are, and notes on paths that were found elsewhere than they say."""
    paths: list[Path] = []
    notes = []
    for part in description.splits.get(split, ()):
        found = list(_existing(description, part, split))
        paths += found[0] if found else [description.root / description.base / part]
        if found and _is_foreign(part):
            notes.append(f"{description.file.name} says '{split}: {part}', which is read from {first_of(found[0], 2)}")
        if len(found) > 1 and part.startswith("../"):
            notes.append(
                f"'{split}: {part}' of {description.file.name} is {found[0][0]}; {found[1][0]} exists, too, and is not "
                "used"
            )
    return Sources(tuple(paths), tuple(notes))


def _is_foreign(part: str) -> bool:
    return "\\" in part or (_ABSOLUTE.match(part) is not None and not os.path.exists(part))


def _existing(description: Description, part: str, split: str) -> Iterator[list[Path]]:
    """Places that exist and may be meant, best first; a pattern stands for all that fits it."""
    seen: set[str] = set()
    for text in dict.fromkeys((part, part.replace("\\", "/"))):
        for place, rest in _candidates(description, text, split):
            matches = [place / rest] if os.path.exists(place / rest) else _fitting(place, rest)
            real = {os.path.realpath(match) for match in matches}
            if matches and seen.isdisjoint(real):
                seen |= real
                yield matches


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _fitting(place: Path, pattern: str) -> list[Path]:
    """What a pattern stands for; nothing where it is none, or would go through all folders of the machine."""
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
    """Folders and what is looked for in each: as it is written, without ``../``, and the ends of foreign paths."""
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
        whole = not absolute and len(end) >= own  # only steps of ``path`` are left out
        # The last step alone, such as 'images', may be another split's folder.
        own_list = text.endswith(".txt") and not _ends_alike(description, end[0], split)
        foreign = (absolute or text.endswith(".txt")) and (len(end) > 1 or split_of(end[0]) == split or own_list)
        if whole or foreign:
            yield root, "/".join(end)


def _ends_alike(description: Description, name: str, split: str) -> bool:
    """Whether a path of another split ends in the same name."""
    others = [part for other, parts in description.splits.items() if other != split for part in parts]
    return any(PurePosixPath(part.replace("\\", "/")).name == name for part in others)


def _is_disk(path: Path) -> bool:
    """Whether a folder is the top of the file system, below which are all of the machine's pictures."""
    real = os.path.realpath(path)
    return os.path.dirname(real) == real


def _refuse_whole_disk(description: Description, split: str, paths: tuple[Path, ...]) -> None:
    if any(map(_is_disk, paths)):
        raise DatasetError(
            f"{description.file} says '{split}: {first_of(description.splits.get(split, ()))}', which is the whole "
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
