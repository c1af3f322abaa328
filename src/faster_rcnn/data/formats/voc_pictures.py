"""The picture of a VOC XML: it has the name of the XML, or that in ``<filename>``, which many tools leave outdated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.layout.folders import Folders, is_picture
from faster_rcnn.data.layout.listing import Fault
from faster_rcnn.parsing.values import cut, first_of


class Picture(NamedTuple):
    """The place of a picture, or its expected place."""

    path: Path
    name: str
    """Path relative to the root."""
    fault: Fault | None = None


class Pictures:
    """The pictures in and below the folder that holds most pictures with an XML."""

    def __init__(self, roots: Sequence[Path], stems: Sequence[str], folders: Folders) -> None:
        """Choose the folder by a sample of the names of XML files."""
        self._folders = folders
        self._by_stem: dict[Path, dict[str, list[str]]] = {}
        self._everywhere: dict[str, list[str]] | None = None
        sample = stems[:: max(1, len(stems) // 100)]
        self.root = max(roots, key=lambda root: sum(bool(self._beside(root, stem)) for stem in sample))

    def of(self, stem: str, *stated: str) -> Picture:
        """The picture of an XML; among several with its name, the picture that is ``stated`` (in the list, in the XML).

        ``stem`` is relative to the folder of annotations; the picture may be in the folder of the same name, in the
        root, or in the only other folder that has it.
        """
        names = [name for name in stated if name]
        found = self._beside(self.root, stem) or self._anywhere(stem.rpartition("/")[2])
        if found:
            return self._stated(found, names, stem)
        for name in names:
            if self._folders.has(self.root / name):
                return Picture(self.root / name, name)
        ending = os.path.splitext(names[-1])[1] if names else ""
        return Picture(self.root / f"{stem}{ending or '.jpg'}", f"{stem}{ending or '.jpg'}")

    def another(self, found: Picture, name: str) -> str:
        """The name, if it is that of another existing picture beside the found picture; else empty."""
        if not name or found.path.name == name or not is_picture(name):
            return ""
        return name if {name, found.path.name} <= self._folders.names(found.path.parent) else ""

    def _beside(self, root: Path, stem: str) -> list[str]:
        """Pictures of an XML, relative to a root: in the folder of the XML's name, else in the root."""
        inner, _, name = stem.rpartition("/")
        own = [f"{inner}/{file}" for file in self._stems(root / inner).get(name, [])] if inner else []
        return own or self._stems(root).get(name, [])

    def _anywhere(self, name: str) -> list[str]:
        if self._everywhere is None:
            self._everywhere = {}
            for folder in self._folders.below(self.root):
                inner = folder.relative_to(self.root).as_posix()
                for stem, files in self._stems(folder).items():
                    self._everywhere.setdefault(stem, []).extend(f"{inner}/{file}" for file in files)
        return self._everywhere.get(name, [])

    def _stems(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._by_stem:
            found: dict[str, list[str]] = {}
            for name in self._folders.images(folder):
                found.setdefault(os.path.splitext(name)[0], []).append(name)
            self._by_stem[folder] = found
        return self._by_stem[folder]

    def _stated(self, found: Sequence[str], names: Sequence[str], stem: str) -> Picture:
        """The only picture, or the picture among several that is named; else the first, with a fault."""
        if len(found) == 1:
            return Picture(self.root / found[0], found[0])
        for name in names:
            fitting = [file for file in found if file.rpartition("/")[2] == name]
            if len(fitting) == 1:
                return Picture(self.root / fitting[0], fitting[0])
        why = f"its <filename> '{cut(names[-1])}' is none of them" if names else "it has no <filename>"
        text = f"{stem}.xml may be for any of {first_of(found)}: {why}; correct it, or remove the other pictures"
        return Picture(self.root / found[0], found[0], Fault("E104", text))
