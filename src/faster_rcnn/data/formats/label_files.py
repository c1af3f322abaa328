"""The places of YOLO's label files by image, and label files without an image."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from faster_rcnn.data.formats.yolo_labels import is_label_text
from faster_rcnn.data.layout.folders import Folders, is_hidden, is_picture
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import first_of

_IMAGE_FOLDERS = ("images", "jpegimages")
_ENDING = ".txt"


def _key(stem: str) -> str:
    """A key of a file stem that ignores the changes of file systems: letter case, and the composition of accents."""
    return unicodedata.normalize("NFC", stem).lower()


class LabelFiles:
    """Finds the label file of an image, in any letter case, with a cache of places."""

    def __init__(self, folders: Folders) -> None:
        """Start with an empty cache."""
        self._folders = folders
        self._places: dict[Path, tuple[Path, ...]] = {}
        self._by_stem: dict[Path, dict[str, list[str]]] = {}

    def of(self, image: Path) -> tuple[Path, ...]:
        """Label files of an image: none, one, or several that differ in letter case where none is exact."""
        name = f"{image.stem}{_ENDING}"
        places = self.places(image.parent)
        for place in places:
            if name in self._folders.names(place):
                return (place / name,)
        for place in places:
            if found := self.texts(place).get(_key(image.stem)):
                return tuple(place / name for name in found)
        return ()

    def places(self, images: Path) -> tuple[Path, ...]:
        """Folders that may hold the labels of the images in a folder, best first.

        The last part ``images`` of the path, in any letter case, becomes ``labels``; else the labels are beside the
        images, or in the folder ``labels`` beside their folder.
        """
        if images not in self._places:
            parts = images.parts
            last = max((at for at, part in enumerate(parts) if part.lower() in _IMAGE_FOLDERS), default=None)
            own = () if last is None else (self._inside(Path(*parts[:last]), "labels").joinpath(*parts[last + 1 :]),)
            self._places[images] = (*own, images, self._inside(images.parent, "labels"))
        return self._places[images]

    def other_format(self, image: Path) -> Path | None:
        """An XML file with the name of an image at the place of its label file: objects of another format."""
        name = f"{image.stem}.xml"
        return next((place / name for place in self.places(image.parent) if name in self._folders.names(place)), None)

    def candidates(self, image: Path) -> list[Path]:
        """The paths that the label file of an image may have, without repetition."""
        return list(dict.fromkeys(place / f"{image.stem}{_ENDING}" for place in self.places(image.parent)))

    def expected(self, image: Path) -> Path:
        """The first candidate for the label file of an image."""
        return self.places(image.parent)[0] / f"{image.stem}{_ENDING}"

    def _inside(self, folder: Path, name: str) -> Path:
        """A folder in a folder, in its letter case there."""
        names = self._folders.names(folder)
        return folder / (
            name if name in names else next((each for each in sorted(names) if each.lower() == name), name)
        )

    def texts(self, folder: Path) -> dict[str, list[str]]:
        """Names of the text files in a folder, by their stems in lower case and composed form."""
        if folder not in self._by_stem:
            found: dict[str, list[str]] = {}
            for name in sorted(self._folders.names(folder)):
                if name.lower().endswith(_ENDING) and not is_hidden(name):
                    found.setdefault(_key(name[: -len(_ENDING)]), []).append(name)
            self._by_stem[folder] = found
        return self._by_stem[folder]


def orphans(
    places: Sequence[Path], images: Sequence[Path], label_files: LabelFiles, folders: Folders, root: Path
) -> list[str]:
    """A note on label files without a picture, with the number of their lines.

    Only the folders of a split's images are searched; there every picture counts, also one that no list names.
    """
    holding = dict.fromkeys(image.parent for image in images)
    inner = [
        folder
        for place in places
        if os.path.isdir(place)
        for folder in (place, *_mirrored(place, label_files, folders))
    ]
    found: dict[Path, str] = {}
    for folder in dict.fromkeys((*holding, *inner)):
        stems = {_key(os.path.splitext(name)[0]) for name in folders.names(folder) if is_picture(name)}
        for place in label_files.places(folder):
            alone = [source for source in label_files.texts(place) if source not in stems]
            read_ones = {
                place / name: _label_text(place / name) for stem in alone for name in label_files.texts(place)[stem]
            }
            found |= {source: text for source, text in read_ones.items() if text is not None}
            if label_files.texts(place):
                break  # the next place may hold texts of any kind
    if not found:
        return []
    lines = sum(bool(line.strip()) for text in found.values() for line in text.split("\n"))
    shown = (source.relative_to(root) if source.is_relative_to(root) else source for source in sorted(found))
    return [f"label files without a picture that is read: {len(found)}, with {lines} boxes ({first_of(shown)})"]


def _mirrored(place: Path, label_files: LabelFiles, folders: Folders) -> Iterator[Path]:
    """Image folders that correspond to the folders below the labels of a place."""
    labels = label_files.places(place)[0]
    if labels != place and labels.is_dir():
        yield from (place / folder.relative_to(labels) for folder in folders.below(labels))


def _label_text(source: Path) -> str | None:
    """The content of a label file; ``None`` for other texts, such as ``classes.txt`` or a readme."""
    try:
        text = read_text(source)
    except DatasetError:
        return None
    return text if is_label_text(text) else None
