"""Where YOLO's label files are, by the image that they are for; and those that no image has."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

from faster_rcnn.data.formats.yolo_labels import looks_like_labels
from faster_rcnn.data.layout.folders import Folders, first_of, is_hidden, is_picture
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text

_IMAGE_FOLDERS = ("images", "jpegimages")
_ENDING = ".txt"


def _key(stem: str) -> str:
    """A stem without what file systems change: letter case, and accents in one character or two."""
    return unicodedata.normalize("NFC", stem).lower()


class LabelFiles:
    """Finds the label file of an image, in any letter case; remembers what is where."""

    def __init__(self, folders: Folders) -> None:
        """Start with nothing looked up."""
        self._folders = folders
        self._places: dict[Path, tuple[Path, ...]] = {}
        self._by_stem: dict[Path, dict[str, list[str]]] = {}

    def of(self, image: Path) -> tuple[Path, ...]:
        """The label file of an image: none, one, or several that differ in letter case where none is exact."""
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

        Its last part called images, in any letter case, becomes labels; else the labels are beside the images, or in
        the folder ``labels`` beside theirs.
        """
        if images not in self._places:
            parts = images.parts
            last = max((at for at, part in enumerate(parts) if part.lower() in _IMAGE_FOLDERS), default=None)
            own = () if last is None else (self._inside(Path(*parts[:last]), "labels").joinpath(*parts[last + 1 :]),)
            self._places[images] = (*own, images, self._inside(images.parent, "labels"))
        return self._places[images]

    def other_format(self, image: Path) -> Path | None:
        """An XML file with the name of an image where its label file may be: objects that YOLO does not read."""
        name = f"{image.stem}.xml"
        return next((place / name for place in self.places(image.parent) if name in self._folders.names(place)), None)

    def candidates(self, image: Path) -> list[Path]:
        """The label files that an image may have, each once."""
        return list(dict.fromkeys(place / f"{image.stem}{_ENDING}" for place in self.places(image.parent)))

    def expected(self, image: Path) -> Path:
        """The best of the candidates."""
        return self.places(image.parent)[0] / f"{image.stem}{_ENDING}"

    def _inside(self, folder: Path, name: str) -> Path:
        """A folder in a folder, in the letters that it has there."""
        names = self._folders.names(folder)
        return folder / (
            name if name in names else next((each for each in sorted(names) if each.lower() == name), name)
        )

    def texts(self, folder: Path) -> dict[str, list[str]]:
        """Names of the text files in a folder, by their stems in lower case and composed letters."""
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
    """A note on label files that have no picture, with the number of their lines.

    Only the folders of a split's images count, and there every picture does, also one that no list names.
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
                break  # in the next best place there may be texts of any kind
    if not found:
        return []
    lines = sum(bool(line.strip()) for text in found.values() for line in text.split("\n"))
    shown = (source.relative_to(root) if source.is_relative_to(root) else source for source in sorted(found))
    return [f"label files without a picture that is read: {len(found)}, with {lines} boxes ({first_of(shown)})"]


def _mirrored(place: Path, label_files: LabelFiles, folders: Folders) -> Iterator[Path]:
    """Image folders that would belong to the folders below the labels of a place."""
    labels = label_files.places(place)[0]
    if labels != place and labels.is_dir():
        yield from (place / folder.relative_to(labels) for folder in folders.below(labels))


def _label_text(source: Path) -> str | None:
    """The content of a label file; none of other texts, such as ``classes.txt`` or a read-me."""
    try:
        text = read_text(source)
    except DatasetError:
        return None
    return text if looks_like_labels(text) else None
