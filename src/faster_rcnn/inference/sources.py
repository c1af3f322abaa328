"""Which images a command line means: files, folders and patterns.

Only names are ever held, and those of one source at a time, so that a million images cost little.
"""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from faster_rcnn.data.folders import IMAGE_SUFFIXES, Folders, first_of, nearby


@dataclass(frozen=True, slots=True)
class Survey:
    """What sources hold, found out before any image is opened."""

    images: int
    folders: frozenset[Path]
    """Absolute folders that the images lie in."""
    unmatched: tuple[str, ...]
    """For each source without an image: a line that says so and what is there instead."""


def survey(sources: Sequence[str]) -> Survey:
    """Count the images of all sources."""
    images = 0
    folders: set[str] = set()
    unmatched = []
    for source in dict.fromkeys(sources):
        before = images
        for name in _matches(source):
            images += 1
            folders.add(os.path.dirname(name))
        if images == before:
            unmatched.append(f"no images match '{source}'{_instead(source)}")
    return Survey(images, frozenset(Path(folder).absolute() for folder in folders), tuple(unmatched))


def images_of(sources: Sequence[str]) -> Iterator[Path]:
    """The images of all sources, in the order of the sources and sorted within each.

    A file is taken as it is named, whatever it turns out to be; of a folder (not of the folders below it) and of a
    pattern only files that are called as images are.
    """
    for source in dict.fromkeys(sources):
        for name in sorted(_matches(source)):
            yield Path(name)


def _matches(source: str) -> Iterator[str]:
    """Files that one source means, in no order."""
    if os.path.isdir(source):
        with os.scandir(source) as entries:
            yield from (entry.path for entry in entries if _is_named_as_image(entry.name) and entry.is_file())
    elif os.path.exists(source):  # so a name with brackets in it is no pattern
        yield source
    elif glob.has_magic(source):
        yield from (name for name in glob.iglob(source, recursive=True) if _is_image_file(name))


def _is_image_file(name: str) -> bool:
    return _is_named_as_image(os.path.basename(name)) and os.path.isfile(name)


def _is_named_as_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")


def _instead(source: str) -> str:
    """What is there instead of images, in brackets, or a hint at what may have been meant."""
    path = Path(source)
    if source and path.is_dir():
        return f" (the folder holds {_contents(path)})"
    folder = path.parent
    while glob.has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir():
        return f" (there is no folder '{folder}').{nearby(folder)}".removesuffix(".")
    if glob.has_magic(source):
        return f" (the folder '{folder}' holds {_contents(folder)})"
    return Folders().hint(path) or f" (there is no such file).{nearby(path)}".removesuffix(".")


def _contents(folder: Path) -> str:
    """Such as ``40 .txt files, 2 folders``."""
    with os.scandir(folder) as entries:
        kinds = Counter("folder" if entry.is_dir() else _kind(entry.name) for entry in entries)
    folders = kinds.pop("folder", 0)
    parts = [f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in kinds.most_common()]
    if folders:
        inside = folder / "**" / "*"
        parts.append(f"{folders} folder{'' if folders == 1 else 's'}, whose images '{inside}' would take")
    return first_of(parts, 6) or "nothing"


def _kind(name: str) -> str:
    ending = os.path.splitext(name)[1]
    return f"{ending} file" if ending else "file without an ending"
