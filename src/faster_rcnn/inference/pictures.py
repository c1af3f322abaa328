"""A folder of pictures with boxes: the names of the pictures, and writing them without overwriting other files."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from PIL.PngImagePlugin import PngInfo

from faster_rcnn.data.layout.folders import is_picture
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.inputs import out_of_memory
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.sources import STDIN, is_pipe, place_of
from faster_rcnn.system.atomic import as_machine_error, quick_write

DEFAULT_FOLDER = "predictions"
KEPT_ENDINGS = (".jpg", ".jpeg", ".png")
JPEG_QUALITY = 92

MARK = "faster-rcnn predict"
"""Text in each picture that this package draws: the comment of a JPEG, the software of a PNG.

Only files with this text are replaced by the pictures of a later run.
"""

LONGEST_JPEG = 65_500
"""The longest side of a JPEG in pixels, a limit of libjpeg."""

LONGEST_NAME = 255
"""The longest name of a file in bytes, in most file systems."""


class PictureFolder:
    """Writes pictures into a folder, under the names of their images and of the folders in which the images differ."""

    def __init__(self, folder: Path, images: Sequence[str], json: str | None = None) -> None:
        """Choose the name of each picture; ``images`` are files, or ``-`` for standard input. Nothing is written yet.

        Names that cannot be written are refused here, before any image is processed: each picture must lie below the
        folder, and may overwrite no image, not the file ``json``, and no file but a picture that was drawn earlier.

        Raises:
            OptionError: a name is taken, or leads out of the folder through a link (E132).
            MachineError: a picture cannot be written.
        """
        self.folder = folder
        real_folder = cache(os.path.realpath)
        origins = [None if is_pipe(name) else place_of(name, real_folder) for name in images]
        self.places = _places(images, origins)
        """The path of the picture of each image, relative to the folder."""
        targets = self._targets()
        self._refuse_images(targets, images, origins)
        if json is not None and any(f"{target}/".startswith(f"{place_of(json)}/") for target in targets):
            raise OptionError(f"--json {json} is the name of a picture or folder of --out {folder}", code="E132")
        self.replaced = sum(self._replaces(place) for place in self.places)
        """The number of pictures of an earlier run that are replaced."""

    def save(self, number: int, prediction: Prediction) -> Path:
        """Draw the detections of one of the images, counted from 0, and return the path of the picture.

        Raises:
            ImageError: the image is longer than a JPEG can be, or memory does not suffice (E120).
            MachineError: the picture cannot be written.
        """
        target = self.folder / self.places[number]
        size = prediction.result.size
        if target.suffix.lower() != ".png" and max(size) > LONGEST_JPEG:
            raise ImageError(
                f"{target} is not drawn: with {size.width}x{size.height} pixels it is longer than the {LONGEST_JPEG:,} "
                "of a JPEG; its detections are in --json",
                code="E120",
            )
        try:
            picture = prediction.result.drawn_on(prediction.pixels)
        except MemoryError as error:
            raise out_of_memory(error, str(target)) from error
        with quick_write(target) as temporary:
            if target.suffix.lower() == ".png":
                picture.save(temporary, format="PNG", pnginfo=_png_info())
            else:
                picture.save(temporary, format="JPEG", quality=JPEG_QUALITY, comment=MARK)
        return target

    def _targets(self) -> set[str]:
        """The real paths of the pictures; a link that leads out of the folder raises ``OptionError``."""
        root = os.path.realpath(self.folder)
        for inside in {os.path.dirname(place) for place in self.places}:
            real, wanted = os.path.realpath(self.folder / inside), os.path.join(root, inside)
            if real != os.path.normpath(wanted):
                raise OptionError(
                    f"--out {self.folder}: a link in {self.folder / inside} leads to {real}, where no picture is to be "
                    "written; remove the link or name another folder",
                    code="E132",
                )
        return {os.path.join(root, place) for place in self.places}

    def _refuse_images(self, targets: set[str], images: Sequence[str], origins: Sequence[str | None]) -> None:
        """Raise ``OptionError`` where a picture would overwrite an image."""
        for name, origin in zip(images, origins, strict=True):
            if origin is not None and (
                origin in targets or (os.path.islink(name) and os.path.realpath(name) in targets)
            ):
                raise OptionError(
                    f"--out {self.folder}: {name} is one of the images, which pictures of the same name would "
                    "overwrite; name another folder",
                    code="E132",
                )

    def _replaces(self, place: str) -> bool:
        """Whether a picture of an earlier run has this name; raises ``OptionError`` for anything else of this name."""
        target = self.folder / place
        with as_machine_error(target):
            try:
                is_drawn = _is_drawn(target)
            except FileNotFoundError:
                return False
        if is_drawn:
            return True
        raise OptionError(
            f"--out {self.folder}: {target} exists and is no picture that this command drew, so it is not overwritten; "
            "remove it or name another folder",
            code="E132",
        )


def _places(images: Sequence[str], origins: Sequence[str | None]) -> list[str]:
    """Paths of the pictures of the images, relative to the folder of all pictures.

    A picture has the name of its image, ending in .jpg unless it is a PNG. The picture of ``scan.tif`` is
    ``scan.tif.jpg`` where another image is named ``scan``, such as ``scan.jpg``, and has a number where that is taken,
    too. Images from pipes lie in no folder, so their pictures lie at the top.
    """
    folders = {os.path.dirname(origin) for origin in origins if origin is not None}
    common = os.path.commonpath(folders) if folders else ""
    kept = [_relative(each, common) for each in origins if each is not None and _ending(each) in KEPT_ENDINGS]
    taken, namesakes = set(kept), cache(_names_by_stem)
    places, names_kept = [], iter(kept)
    for name, origin in zip(images, origins, strict=True):
        if origin is not None and _ending(origin) in KEPT_ENDINGS:
            places.append(next(names_kept))
            continue
        if origin is None:
            wishes = _numbered("stdin" if name == STDIN else os.path.basename(name))
        else:
            wishes = _names_of(_relative(origin, common), _is_alone(origin, namesakes(os.path.dirname(origin))))
        places.append(next(wish for wish in wishes if wish not in taken))
        taken.add(places[-1])
    return places


def _relative(path: str, common: str) -> str:
    return os.path.relpath(path, common)


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _names_by_stem(folder: str) -> dict[str, list[str]]:
    """The names of the images of a folder, by their name without the ending."""
    names: dict[str, list[str]] = defaultdict(list)
    for name in filter(is_picture, os.listdir(folder)):
        names[os.path.splitext(name)[0]].append(name)
    return dict(names)


def _is_alone(origin: str, names: dict[str, list[str]]) -> bool:
    """Whether no other image in the folder of an image has its name without the ending.

    Pictures that were drawn earlier are no such images: a second run that draws into the folder of its images gives
    its pictures the same names as the first one did, and replaces them.
    """
    folder, name = os.path.split(origin)
    others = (each for each in names.get(os.path.splitext(name)[0], []) if each != name)
    return all(_is_readable_drawing(Path(folder, other)) for other in others)


def _names_of(place: str, alone: bool) -> Iterator[str]:
    """Places for the picture of an image that is neither JPEG nor PNG, best first, without end."""
    if alone:
        yield _fitting(os.path.splitext(place)[0], ".jpg")
    yield from _numbered(place)


def _numbered(stem: str) -> Iterator[str]:
    """Places ``stem.jpg``, ``stem-2.jpg``, ``stem-3.jpg``, without end."""
    number = 1
    while True:
        yield _fitting(stem, ".jpg" if number == 1 else f"-{number}.jpg")
        number += 1


def _fitting(stem: str, ending: str) -> str:
    """A place whose name is not too long; a checksum replaces the characters that are cut off."""
    folder, name = os.path.split(stem)
    encoded = os.fsencode(name)
    if len(encoded) + len(ending) <= LONGEST_NAME:
        return stem + ending
    check = "-" + hashlib.sha256(encoded).hexdigest()[:8]
    kept = encoded[: LONGEST_NAME - len(ending) - len(check)]
    return os.path.join(folder, kept.decode(errors="ignore") + check + ending)


def _png_info() -> PngInfo:
    info = PngInfo()
    info.add_text("Software", MARK)
    return info


def _is_drawn(path: Path) -> bool:
    """Whether a path is a picture of an earlier run, and no link to one; its mark precedes the pixels.

    Raises ``OSError`` where the path does not exist or cannot be read.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    with path.open("rb") as file:
        return MARK.encode() in file.read(1024)


def _is_readable_drawing(path: Path) -> bool:
    """Whether a path is a picture of an earlier run; a path that cannot be read is none."""
    try:
        return _is_drawn(path)
    except OSError:
        return False
