"""Pictures with boxes in a folder, in which none takes the place of another, or of anything else."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
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
"""In each picture, as a JPEG's comment or a PNG's software: such a file, and no other, is drawn anew."""

LONGEST_JPEG = 65_500
"""Pixels of a side, by libjpeg."""

LONGEST_NAME = 255
"""Bytes, in most file systems."""


class PictureFolder:
    """Writes pictures under the names of their images, and below it the folders in which the images differ."""

    def __init__(self, folder: Path, images: Sequence[str], json: str | None = None) -> None:
        """Choose the name of each picture; ``images`` are files, or ``-`` for standard input. Nothing is written yet.

        What would stop the writing is found here, before the work: each picture lies below the folder, and takes the
        place of no image, not of the file ``json``, and of no file that is not a picture drawn earlier.

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
        """How many pictures of an earlier run are drawn anew."""

    def save(self, number: int, prediction: Prediction) -> Path:
        """Draw what was found in one of the images, counted from 0; returns where the picture is.

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
        """Where the pictures really lie, once it is known that no link leads elsewhere."""
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
        """Whether a picture of an earlier run has this name; raises where it is anything else."""
        target = self.folder / place
        with as_machine_error(target):
            try:
                kind = os.lstat(target).st_mode
            except FileNotFoundError:
                return False
        if stat.S_ISREG(kind) and _is_drawn(target):
            return True
        raise OptionError(
            f"--out {self.folder}: {target} is there and no picture that this command drew, so it is not overwritten; "
            "remove it or name another folder",
            code="E132",
        )


def _places(images: Sequence[str], origins: Sequence[str | None]) -> list[str]:
    """Paths of the pictures of the images, relative to the folder of all.

    A picture has the image's name, ending in .jpg unless it is a PNG; ``scan.tif.jpg`` where ``scan.jpg`` is another
    image's, and a number where that is taken, too. Images from pipes lie beside no other, so theirs lie at the top.
    """
    folders = {os.path.dirname(origin) for origin in origins if origin is not None}
    common = os.path.commonpath(folders) if folders else ""
    kept = [_relative(each, common) for each in origins if each is not None and _ending(each) in KEPT_ENDINGS]
    taken, stems = set(kept), cache(_stems)
    places, names_kept = [], iter(kept)
    for name, origin in zip(images, origins, strict=True):
        if origin is not None and _ending(origin) in KEPT_ENDINGS:
            places.append(next(names_kept))
            continue
        if origin is None:
            wishes = _numbered("stdin" if name == STDIN else os.path.basename(name))
        else:
            wishes = _names_of(_relative(origin, common), stems(os.path.dirname(origin)))
        places.append(next(wish for wish in wishes if wish not in taken))
        taken.add(places[-1])
    return places


def _relative(path: str, common: str) -> str:
    return os.path.relpath(path, common)


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _stems(folder: str) -> Counter[str]:
    """How many images of a folder have each name, but for the ending."""
    return Counter(os.path.splitext(name)[0] for name in os.listdir(folder) if is_picture(name))


def _names_of(place: str, stems: Counter[str]) -> Iterator[str]:
    """Places for the picture of an image that is neither JPEG nor PNG, best first, without end."""
    stem = os.path.splitext(place)[0]
    if stems[os.path.basename(stem)] <= is_picture(os.path.basename(place)):
        yield _fitting(stem, ".jpg")
    yield from _numbered(place)


def _numbered(stem: str) -> Iterator[str]:
    number = 1
    while True:
        yield _fitting(stem, ".jpg" if number == 1 else f"-{number}.jpg")
        number += 1


def _fitting(stem: str, ending: str) -> str:
    """A place whose name is not too long; what is cut off is stood for by a checksum."""
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
    """Whether a file is a picture of an earlier run; its mark stands before the pixels."""
    with as_machine_error(path), path.open("rb") as file:
        return MARK.encode() in file.read(1024)
