r"""File names as other machines write them, and the search for their files.

An annotation may name ``images\0.jpg``, ``my%20photo.jpg``, a letter and its accent as one character or as two,
``/data/upload/1/0.jpg`` of another machine, or an address. The name as it is written comes first; every other spelling
that leads to a file is counted and reported. Letter case is never guessed, and a name that fits two files fits none.
"""

from __future__ import annotations

import filecmp
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.layout.listing import Fault
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.files import MAX_PATH

_SAMPLE = 100
"""Number of names by which the folder of the files is chosen."""
_MAX_STEPS = 64
"""Maximum number of the last parts of a path that are tried as a whole path."""
_BY_END = "found by the end of the path"


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """The files of a list of names."""

    paths: tuple[Path, ...]
    """One per name; where no file exists, the path where it was expected."""
    faults: tuple[Fault | None, ...]
    """One per name: the reason why an existing file cannot be used, such as two files that fit."""
    notes: tuple[str, ...]
    """Lines for the user: spellings that differ, files in other folders."""


class _Hit(NamedTuple):
    """A file, and the change of its name that led to it."""

    path: Path
    root: Path
    spelling: str
    by_end: bool
    fault: Fault | None


def _without_address(text: str) -> str:
    """The path of an address (``https://host/a.jpg?key``, ``file:///a.jpg``, ``/data/local-files/?d=a.jpg``)."""
    if local := re.search(r"/local-files/\?d=(.+)", text):  # Label Studio's way to name a file on its disk
        return local[1]
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme.isalnum():
        return text
    return rest if scheme.lower() == "file" else re.split(r"[?#]", rest)[0]


_STEPS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("blanks around the name", str.strip),
    ("backslashes", lambda text: text.replace("\\", "/")),
    ("an address", _without_address),
    # A byte that is not UTF-8 becomes the surrogate that Python has for it in a listing of a folder.
    ("percent signs", lambda text: unquote(text, errors="surrogateescape")),
)
"""Changes that other machines make to names, with functions that undo them, in this order."""


def spellings(name: str) -> list[tuple[str, str]]:
    """Pairs (change, name): the name as it is written, with an empty change, then plainer forms of it."""
    found = [("", name)]
    if len(name) > MAX_PATH:
        return found
    for what, change in _STEPS:
        before, text = found[-1]
        if (changed := change(text)) != text:
            found.append((f"{before} and {what}" if before else what, changed))
    return found


def locate(names: Sequence[str], candidates: Sequence[Path], folders: Folders) -> Located:
    """Find the files of ``names`` below the folders ``candidates``; the folder with most of them comes first.

    Relative names start in a candidate. Where no spelling of a whole name leads to a file, the longest end of its path
    that does is used, since names of another machine start with that machine's folders.
    """
    finder = _Finder(folders)
    roots = finder.ranked(names, candidates)
    hits = [finder.find(name, roots) for name in names]
    faults = _collisions(names, hits)
    notes = [*_other_spellings(names, hits), *_other_folders(hits, roots), *finder.rival(names, roots)]
    return Located(
        paths=tuple(
            _expected(name, roots[0], folders) if hit is None else hit.path
            for name, hit in zip(names, hits, strict=True)
        ),
        faults=tuple(
            faults.get(position) or (hit.fault if hit is not None else None) for position, hit in enumerate(hits)
        ),
        notes=tuple(notes),
    )


def holders(names: Sequence[str], below: Sequence[Path], folders: Folders) -> list[Path]:
    """The folders among ``below`` that hold files of these names, or of their last parts; most files first."""
    finder = _Finder(folders)
    sample = _sample(names)
    for by_end in (False, True):
        counts = {folder: finder.count(sample, folder, by_end) for folder in below}
        if any(counts.values()):
            return sorted((folder for folder in below if counts[folder]), key=lambda folder: -counts[folder])
    return []


class _Finder:
    """Finds names in folders; caches the names of each folder in composed form (NFC)."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._composed: dict[Path, dict[str, list[str]]] = {}

    def ranked(self, names: Sequence[str], candidates: Sequence[Path]) -> list[Path]:
        """The candidates, those with most of the names first; by ends of names where no whole name exists."""
        sample = _sample(names)
        for by_end in (False, True):
            counts = {folder: self.count(sample, folder, by_end) for folder in candidates}
            if any(counts.values()):
                return sorted(counts, key=lambda folder: -counts[folder])
        return list(dict.fromkeys(candidates))

    def count(self, names: Sequence[str], folder: Path, by_end: bool) -> int:
        """The number of names that are found in a folder."""
        return sum(self._first(_texts(name, by_end), folder) is not None for name in names)

    def find(self, name: str, roots: Sequence[Path]) -> _Hit | None:
        """The file of a name; ``None`` where nothing fits."""
        exact = roots[0] / name  # nearly always exists, so it is tried first
        if self._is_file(name, exact):
            return _Hit(exact, roots[0], "", False, None)
        if (hit := self._first(_texts(name, False), roots[0])) is not None:
            return hit
        for by_end in (False, True):
            hits = [self._first(_texts(name, by_end), root) for root in roots]
            if hits[0] is not None:
                return hits[0]
            if found := [hit for hit in hits if hit is not None]:
                return _only(name, found)
        return None

    def rival(self, names: Sequence[str], roots: Sequence[Path]) -> list[str]:
        """A line where another folder holds other files of the same names."""
        sample = _sample(names)
        mine = [self._first(_texts(name, False), roots[0]) for name in sample]
        for root in roots[1:]:
            theirs = [self._first(_texts(name, False), root) for name in sample]
            pairs = [(one.path, two.path) for one, two in zip(mine, theirs, strict=True) if one and two]
            if 2 * len(pairs) > len(sample) and not all(filecmp.cmp(*pair, shallow=False) for pair in pairs):
                return [
                    f"files of the same names, but of other content, are in {roots[0]} and in {root}; those in "
                    f"{roots[0]} are used (another folder: --set data.images=FOLDER)"
                ]
        return []

    def _first(self, texts: Iterator[tuple[str, str, bool]], root: Path) -> _Hit | None:
        for spelling, text, by_end in texts:
            files = self._files(root, text)
            if files:
                how = "accents in one character or two" if not self._folders.has(root / text) else ""
                changed = " and ".join(part for part in (spelling, how) if part)
                fault = _both_fit(text, files[0], files[1]) if len(files) > 1 else None
                return _Hit(files[0], root, changed, by_end, fault)
        return None

    def _files(self, root: Path, text: str) -> list[Path]:
        """The file of a name, else files whose names differ from it only in the composition of accents."""
        exact = root / text
        if self._is_file(text, exact):
            return [exact]
        if text.isascii() or len(text) > MAX_PATH or "\0" in text or self._folders.has(exact):
            return []
        places = [Path(root.anchor) if text.startswith("/") else root]
        for part in PurePosixPath(text.lstrip("/")).parts:
            form = unicodedata.normalize("NFC", part)
            places = [place / entry for place in places for entry in self._forms(place).get(form, [])]
        return [place for place in places if place.is_file()]

    def _is_file(self, text: str, path: Path) -> bool:
        """Whether a name, as the ``path``, is that of a file; a folder with an ending fails when it is opened."""
        if len(text) > MAX_PATH or "\0" in text or not self._folders.has(path):
            return False
        # A system call for each of many images would take longer than everything else here.
        return (bool(path.suffix) and not text.endswith("/")) or (bool(text.strip("/.")) and not os.path.isdir(path))

    def _forms(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._composed:
            forms: dict[str, list[str]] = defaultdict(list)
            for entry in sorted(self._folders.names(folder)):
                forms[unicodedata.normalize("NFC", entry)].append(entry)
            self._composed[folder] = forms
        return self._composed[folder]


def _only(name: str, found: Sequence[_Hit]) -> _Hit:
    """The first hit, with a fault where several files fit, none of them in the folder with most names."""
    best = found[0]
    others = [hit for hit in found[1:] if not hit.path.samefile(best.path)]
    return best._replace(fault=_both_fit(name, best.path, others[0].path)) if others else best


def _both_fit(name: str, first: Path, second: Path) -> Fault:
    return Fault("E104", f"{name} fits both {first} and {second}")


def _sample(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // _SAMPLE)]


def _texts(name: str, by_end: bool) -> Iterator[tuple[str, str, bool]]:
    """Spellings of a whole name, or of the ends of its path, longest first, as (change, text, by end)."""
    for spelling, text in spellings(name):
        if not by_end:
            yield spelling, text, False
            continue
        parts = PurePosixPath(text).parts
        for start in range(max(1, len(parts) - _MAX_STEPS), len(parts)):
            end = "/".join(parts[start:])
            if not end.startswith(".."):
                yield f"{spelling} and {_BY_END}" if spelling else _BY_END, end, True


def _expected(name: str, root: Path, folders: Folders) -> Path:
    """The expected place of an absent file: in its folder where that exists, else directly in the root."""
    text = spellings(name)[-1][1].replace("\0", "")
    path = root / text
    return path if folders.names(path.parent) else root / (PurePosixPath(text).name or "unnamed")


def _collisions(names: Sequence[str], hits: Sequence[_Hit | None]) -> dict[int, Fault]:
    """Faults, by position, of names that share a file with another name although only their ends fit it."""
    if not any(hit is not None and hit.by_end for hit in hits):
        return {}
    users: dict[str, list[int]] = defaultdict(list)
    for position, hit in enumerate(hits):
        if hit is not None:
            users[os.path.normpath(hit.path)].append(position)
    faults = {}
    for shared in users.values():
        different = {names[position] for position in shared}
        for position in shared if len(different) > 1 else []:
            hit = hits[position]
            if hit is not None and hit.by_end:
                text = f"{first_of(sorted(different), 2)} end like one file, {hit.path}"
                faults[position] = Fault("E104", text)
    return faults


def _other_spellings(names: Sequence[str], hits: Sequence[_Hit | None]) -> list[str]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, hit in zip(names, hits, strict=True):
        if hit is not None and hit.spelling:
            found[hit.spelling].append(f"{name if name.isprintable() else repr(name)} is {hit.path}")
    return [
        f"file names in another spelling ({what}): {len(examples)}, e.g. {examples[0]}"
        for what, examples in found.items()
    ]


def _other_folders(hits: Sequence[_Hit | None], roots: Sequence[Path]) -> list[str]:
    """A line about files in another folder than most files."""
    elsewhere = [str(hit.path) for hit in hits if hit is not None and hit.fault is None and hit.root != roots[0]]
    if not elsewhere:
        return []
    return [f"files that are not in {roots[0]} but in another folder: {len(elsewhere)} ({first_of(elsewhere, 3)})"]
