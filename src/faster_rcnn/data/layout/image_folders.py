"""Search for the images of an annotation file: in the folders that tools use, else anywhere in the data set.

Only the data set itself is searched, unless the setting ``data.images`` names another folder.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.layout.folders import Folders, child, folders_of
from faster_rcnn.data.layout.listing import split_of
from faster_rcnn.data.layout.names import Located, holders, locate
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import first_of

_GALLERIES = ("images", "image", "imgs", "img", "data", "JPEGImages")
OF_ANNOTATIONS = frozenset(("annotations", "annotation", "anns", "ann", "labels", "label", "json", "csv"))
"""Names of folders in a data set that hold annotations and no pictures."""
_DEFAULT_SUBSET = "default"
"""CVAT's name for the images that belong to no subset."""
_MAX_FOLDERS = 2000
"""Maximum number of folders that are searched for images that are in none of the usual folders."""


class Source(NamedTuple):
    """An annotation file, and the places where its images may be."""

    file: Path
    split: str
    root: Path
    """The folder of the data set."""
    images: Path | None
    """The folder that the setting ``data.images`` names."""


class Images(NamedTuple):
    """The images of an annotation file, and a remedy where they are absent."""

    located: Located
    advice: str


def find_images(names: Sequence[str], source: Source, folders: Folders) -> Images:
    """Find the images that an annotation file names.

    Raises:
        DatasetError: several folders, none of them a usual folder, hold files of these names (E104).
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
    """Folders where tools put images; folders that are named after the split come first."""
    if source.images is not None:
        tops, galleries = [source.images], []
    else:
        tops = list(dict.fromkeys([source.file.parent, *_above(source), _data_set(source), source.root]))
        galleries = [found for top in tops for name in _GALLERIES if (found := child(top, name)) is not None]
    inside = {folder: folders_of(folder) for folder in (*galleries, *tops)}
    of_split = [entry for found in inside.values() for entry in found if split_of(entry.name) == source.split]
    default = [entry for found in inside.values() for entry in found if entry.name == _DEFAULT_SUBSET]
    return list(dict.fromkeys([*of_split, *default, *galleries, *tops]))


def _data_set(source: Source) -> Path:
    """The folder of the data set: its root; for a file given alone, its folder or that above ``annotations``."""
    here = source.file.parent
    if here != source.root and here.is_relative_to(source.root):
        return source.root
    return here.parent if here.name.lower() in OF_ANNOTATIONS else here


def _above(source: Source) -> list[Path]:
    """The folder above that of the annotation file, if it belongs to the data set."""
    above = source.file.parent.parent
    return [above] if above.is_relative_to(_data_set(source)) else []


def _elsewhere(names: Sequence[str], data_set: Path, source: Source, folders: Folders) -> list[Path]:
    """Folders of the data set that hold the images, without folders of other splits.

    Several folders are used where each holds a part of the images; if two hold all of them, E104 is raised.
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
    """A folder and those below it, nearest first; a folder that several links lead to is given once."""
    waiting, given = deque([root]), set[str]()
    while waiting and len(given) < _MAX_FOLDERS:
        folder = waiting.popleft()
        if (real := os.path.realpath(folder)) not in given:
            given.add(real)
            yield folder
            waiting.extend(folders_of(folder))


def _of_another_split(folder: Path, split: str) -> bool:
    named = [found for part in folder.parts if (found := split_of(part)) is not None]
    return bool(named) and split not in named


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
