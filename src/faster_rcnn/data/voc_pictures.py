"""The picture of a VOC XML: it has the XML's own name, or that of its ``<filename>``, which many tools leave stale."""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.folders import Folders, first_of, is_picture


class Picture(NamedTuple):
    """Where a picture is, or was expected."""

    path: Path
    fault: str | None = None


class Pictures:
    """The pictures in the folder that holds most of those with an XML, and in the folders in it."""

    def __init__(self, roots: Sequence[Path], stems: Sequence[str], folders: Folders) -> None:
        """Choose the folder by a sample of the XML files' names."""
        self._folders = folders
        self._by_stem: dict[Path, dict[str, list[Path]]] = {}
        self._everywhere: dict[str, list[Path]] | None = None
        sample = stems[:: max(1, len(stems) // 100)]
        self.root = max(roots, key=lambda root: sum(bool(self._beside(root, stem)) for stem in sample))

    def of(self, stem: str, *stated: str) -> Picture:
        """The picture of an XML; of several with its name, the one that is ``stated`` (in the list, in the XML).

        ``stem`` is seen from the folder of annotations; the picture may be in the folder of the same name, in the root,
        or in the only other folder that has it.
        """
        names = [name for name in stated if name]
        found = self._beside(self.root, stem) or self._anywhere(stem.rpartition("/")[2])
        if len(found) == 1:
            return Picture(found[0])
        if found:
            return _stated(found, names, stem)
        for name in names:
            if self._folders.has(self.root / name):
                return Picture(self.root / name)
        ending = os.path.splitext(names[-1])[1] if names else ""
        return Picture(self.root / f"{stem}{ending or '.jpg'}")

    def is_another(self, path: Path, name: str) -> bool:
        """Whether a name is that of another picture that is there, beside the one at ``path``."""
        there = self._folders.names(path.parent)
        return name != path.name and is_picture(name) and path.name in there and name in there

    def others(self, used: Set[Path]) -> list[str]:
        """Pictures of the folders of ``used``, and of the root, that are not among them."""
        places = sorted({self.root, *(path.parent for path in used)})
        paths = [place / name for place in places for name in self._folders.images(place)]
        return [path.relative_to(self.root).as_posix() for path in paths if path not in used]

    def _beside(self, root: Path, stem: str) -> list[Path]:
        inner, _, name = stem.rpartition("/")
        return (inner and self._stems(root / inner).get(name)) or self._stems(root).get(name) or []

    def _anywhere(self, name: str) -> list[Path]:
        if self._everywhere is None:
            self._everywhere = {}
            for folder in self._folders.below(self.root):
                for stem, paths in self._stems(folder).items():
                    self._everywhere.setdefault(stem, []).extend(paths)
        return self._everywhere.get(name, [])

    def _stems(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._by_stem:
            found: dict[str, list[Path]] = {}
            for name in self._folders.images(folder):
                found.setdefault(os.path.splitext(name)[0], []).append(folder / name)
            self._by_stem[folder] = found
        return self._by_stem[folder]


def _stated(found: Sequence[Path], names: Sequence[str], stem: str) -> Picture:
    for name in names:
        fitting = [path for path in found if path.name == name]
        if len(fitting) == 1:
            return Picture(fitting[0])
    said = f"its <filename> '{names[-1]}' is none of them" if names else "it has no <filename>"
    shown = first_of((path.name for path in found) if len({path.name for path in found}) > 1 else found)
    return Picture(
        found[0], f"E104 {stem}.xml may be for any of {shown}: {said}; correct it, or remove the other pictures"
    )
