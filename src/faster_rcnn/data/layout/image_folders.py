"""Where the images of an annotation file are: in the folders that tools use, else wherever the data set has them.

Only the data set itself is searched, unless the setting ``data.images`` names another folder.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.layout.folders import Folders, child, first_of, is_hidden
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.data.layout.names import Located, holders, locate
from faster_rcnn.errors import DatasetError

_GALLERIES = ("images", "image", "imgs", "img", "data", "JPEGImages")
OF_ANNOTATIONS = frozenset(("annotations", "annotation", "anns", "ann", "labels", "label", "json", "csv"))
"""Names of folders that lie in a data set and hold no pictures."""
_DEFAULT_SUBSET = "default"
"""CVAT's name for the images that belong to no subset."""
_MOST_FOLDERS = 2000
"""So many folders of a data set are searched for images that are in none of the usual ones."""


class Source(NamedTuple):
    """An annotation file, and where its images may be."""

    file: Path
    split: str
    root: Path
    """The folder of the data set."""
    images: Path | None
    """What the setting ``data.images`` names."""


class Images(NamedTuple):
    """The images of an annotation file, and what helps where they are absent."""

    located: Located
    advice: str


def find_images(names: Sequence[str], source: Source, folders: Folders) -> Images:
    """Find the images that an annotation file names.

    Raises:
        DatasetError: several folders, none of them a usual one, hold files of these names (E104).
    """
    usual = _usual(source)
    located = locate(names, usual, folders)
    if source.images is not None:
        return Images(located, _advice_for_setting(source))
    data_set = _data_set(source)
    if not any(folders.has(path) for path in located.paths):
        elsewhere = _elsewhere(names, data_set, source, folders)
        if elsewhere:
            located = locate(names, elsewhere, folders)
            note = f"the images of {source.split} are in {first_of(elsewhere, 3)}, found by their names"
            located = replace(located, notes=(note, *located.notes))
    return Images(located, _advice(usual, data_set, source))


def _usual(source: Source) -> list[Path]:
    """Folders where tools put images, those that speak of the split first."""
    if source.images is not None:
        tops, galleries = [source.images], []
    else:
        tops = list(dict.fromkeys([source.file.parent, *_above(source), _data_set(source), source.root]))
        galleries = [found for top in tops for name in _GALLERIES if (found := child(top, name)) is not None]
    inside = {folder: _folders_in(folder) for folder in (*galleries, *tops)}
    of_split = [entry for found in inside.values() for entry in found if split_of(entry.name) == source.split]
    default = [entry for found in inside.values() for entry in found if entry.name == _DEFAULT_SUBSET]
    return list(dict.fromkeys([*of_split, *default, *galleries, *tops]))


def _data_set(source: Source) -> Path:
    """The folder of the data set: its root, or around a file that was named by itself, in a folder of annotations."""
    here = source.file.parent
    if here != source.root and here.is_relative_to(source.root):
        return source.root
    return here.parent if here.name.lower() in OF_ANNOTATIONS else here


def _above(source: Source) -> list[Path]:
    """The folder above the annotation file's, if it belongs to the data set."""
    above = source.file.parent.parent
    return [above] if above.is_relative_to(_data_set(source)) else []


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if not is_hidden(entry.name) and entry.is_dir())
    except OSError:
        return []


def _elsewhere(names: Sequence[str], data_set: Path, source: Source, folders: Folders) -> list[Path]:
    """Folders of the data set that hold the images, but not those of another split.

    Several folders are taken where each holds a part of the images; where each holds all of them, no one is.
    """
    below = [folder for folder in _below(data_set) if not _of_another_split(folder.relative_to(data_set), source.split)]
    found = holders(names, below, folders)
    if len(found) < 2:
        return found
    first, second = (sum(map(folders.has, locate(names, [folder], folders).paths)) for folder in found[:2])
    if first == second == len(names):
        raise DatasetError(
            f"{source.file}: the images of {source.split} may be those in {found[0]} or those in {found[1]}, which "
            "have the same names; name their folder: --set data.images=FOLDER",
            code="E104",
        )
    return found


def _below(root: Path) -> Iterator[Path]:
    """A folder and those in it at any depth, nearest first; a folder that links lead to several times is given once."""
    waiting, given = deque([root]), set[str]()
    while waiting and len(given) < _MOST_FOLDERS:
        folder = waiting.popleft()
        if (real := os.path.realpath(folder)) not in given:
            given.add(real)
            yield folder
            waiting.extend(_folders_in(folder))


def _of_another_split(folder: Path, split: str) -> bool:
    spoken_of = [named for part in folder.parts if (named := split_of(part)) is not None]
    return bool(spoken_of) and split not in spoken_of


def _advice(usual: Sequence[Path], data_set: Path, source: Source) -> str:
    return (
        f"Searched {first_of(usual, 8)} and the folders below {data_set}, without those of other splits. Put the "
        "images there, or name their folder, which may hold a folder for each split: --set data.images=FOLDER"
    )


def _advice_for_setting(source: Source) -> str:
    return (
        f"Searched {source.images}, which data.images names, and its folders for {source.split}. Put the images there, "
        f"or name the folder that has them: --set data.images=FOLDER"
    )
