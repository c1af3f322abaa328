"""Pictures with boxes in a folder, in which none takes the place of another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from faster_rcnn.data.folders import IMAGE_SUFFIXES
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.predictor import Seen

DEFAULT_FOLDER = "predictions"
KEPT_ENDINGS = (".jpg", ".jpeg", ".png")
JPEG_QUALITY = 92


class PictureFolder:
    """Writes pictures under the names of their images, and below it the folders in which the images differ."""

    def __init__(self, folder: Path, sources: Iterable[Path]) -> None:
        """Make the folder; ``sources`` are the absolute folders of the images, which pictures must not overwrite.

        Raises:
            OptionError: a picture would take the place of an image.
        """
        originals = {str(source) for source in sources}
        self.folder = folder
        self.common = Path(os.path.commonpath(originals)) if originals else Path()
        for source in originals:
            if self._place(Path(source)).resolve() in {Path(each).resolve() for each in originals}:
                raise OptionError(
                    f"--out {folder}: {source} holds images to be looked at, which pictures of the same name would "
                    "overwrite; name another folder"
                )
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, seen: Seen) -> Path:
        """Draw what was found in an image that has a path; returns where the picture is."""
        path = seen.result.path
        if path is None:
            raise ValueError("an image without a path has no name for its picture")
        target = self._place(path.parent.absolute()) / picture_name(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        picture = seen.result.drawn_on(seen.pixels)
        if target.suffix.lower() == ".png":
            picture.save(target)
        else:
            picture.save(target, format="JPEG", quality=JPEG_QUALITY)
        return target

    def _place(self, source: Path) -> Path:
        return self.folder / source.relative_to(self.common)


def picture_name(path: Path) -> str:
    """The image's name, ending in .jpg unless it is a PNG; ``scan.tif.jpg`` where ``scan.jpg`` is another image's."""
    ending = path.suffix.lower()
    if ending in KEPT_ENDINGS:
        return path.name
    if any(path.with_suffix(other).exists() for other in IMAGE_SUFFIXES if other != ending):
        return f"{path.name}.jpg"
    return f"{path.stem}.jpg"


def free_folder(name: str = DEFAULT_FOLDER) -> Path:
    """A folder in the working folder that does not exist yet: ``predictions``, else ``predictions-2``, ..."""
    folder, number = Path(name), 2
    while folder.exists():
        folder, number = Path(f"{name}-{number}"), number + 1
    return folder
