"""Looking for files: what is in a folder, where the images lie, what a wrong name was meant to be."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".mpo"}
)


class Folders:
    """Remembers what each folder holds, so that a hundred thousand images cost a few listings and no questions."""

    def __init__(self) -> None:
        """Start knowing nothing."""
        self._names: dict[Path, frozenset[str]] = {}

    def names(self, folder: Path) -> frozenset[str]:
        """Names in a folder; empty where there is no such folder."""
        if folder not in self._names:
            try:
                with os.scandir(folder) as entries:
                    self._names[folder] = frozenset(entry.name for entry in entries)
            except OSError:
                self._names[folder] = frozenset()
        return self._names[folder]

    def has(self, path: Path) -> bool:
        """Whether there is such a file, in exactly these letters, also on systems that don't tell case apart."""
        return path.name in self.names(path.parent)

    def images(self, folder: Path) -> list[str]:
        """Names of the image files in a folder, sorted."""
        return sorted(name for name in self.names(folder) if Path(name).suffix.lower() in IMAGE_SUFFIXES)

    def hint(self, path: Path) -> str:
        """What an absent file may have been meant to be: `` (a file 'a.jpg' exists: ...)``, or nothing."""
        names = sorted(self.names(path.parent))
        for name in names:
            if name.lower() == path.name.lower():
                return f" (a file '{name}' exists: letter case?)"
        for name in names:
            if Path(name).stem == path.stem and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                return f" (a file '{name}' exists: another ending)"
        return ""


def image_root(names: Sequence[str], candidates: Sequence[Path], folders: Folders) -> Path:
    """The folder under which most of the names exist, by a sample; the first where there is no difference."""
    sample = names[:: max(1, len(names) // 100)]
    return max(candidates, key=lambda folder: sum(folders.has(folder / name) for name in sample))


def child(folder: Path, *names: str) -> Path | None:
    """The entry of a folder with one of these names, upper and lower case being the same."""
    wanted = [name.lower() for name in names]
    found = {entry.name.lower(): entry for entry in entries_of(folder)}
    return next((found[name] for name in wanted if name in found), None)


def entries_of(folder: Path) -> list[Path]:
    """Entries of a folder, sorted, without hidden ones; none where it is no folder."""
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def files_of(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder with this ending (``.xml``), sorted."""
    return [entry for entry in entries_of(folder) if entry.suffix.lower() == suffix]


def nearby(path: Path) -> str:
    """Names that resemble an absent one: `` Nearby: train_v2.json.``, or nothing."""
    names = [entry.name for entry in entries_of(path.parent)]
    close = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    return f" Nearby: {', '.join(close)}." if close else ""


def first_of(items: Iterable[object], count: int = 5) -> str:
    """The first few of a list in one line: ``a, b, c and 4 more``."""
    shown = [str(item) for item in items]
    rest = len(shown) - count
    return ", ".join(shown[:count]) + (f" and {rest} more" if rest > 0 else "")
