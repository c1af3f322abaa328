"""Writes pictures as a film that keeps the time of the frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faster_rcnn.errors import MachineError, VerificationError
from faster_rcnn.films.opencv import silent_opencv
from faster_rcnn.system.atomic import atomic_write

CODEC = "mp4v"
"""MPEG-4 part 2. Players show it, and a frame of 1280 x 720 pixels takes 4 ms.

Browsers show VP9 and VP8 only, of those that OpenCV's packages can write; these take 130 and 33 ms, as long as the
detector itself. The animation of an explanation, which is short, is written in VP9.
"""
MAX_REPEATS = 250
"""Largest number of times that a picture is repeated for a gap between two frames."""


class _NoPictureError(Exception):
    """No picture was written, so that the empty file is not kept."""


class FilmWriter:
    """Writes one film of a fixed frame rate; a picture is repeated until the time of the next one."""

    def __init__(self, path: Path, rate: float) -> None:
        """Nothing is written before the first picture, which sets the size.

        Args:
            path: of the film; its ending is ``.mp4``.
            rate: frames per second.
        """
        self._path, self._rate = path, rate
        self._writer: Any = None
        self._size = (0, 0)
        self._last: np.ndarray[Any, np.dtype[Any]] | None = None
        self._start = 0.0
        self.written = 0
        """Frames in the film."""

    def write(self, picture: Image.Image, time: float) -> None:
        """Add the picture of the frame at so many seconds.

        Raises ``MachineError`` where OpenCV cannot write films.
        """
        if self._writer is None:
            self._open(picture)
            self._start = time
        place = round((time - self._start) * self._rate)
        for _ in range(min(place - self.written, MAX_REPEATS)):
            self._writer.write(self._last)
            self.written += 1
        resized = picture if picture.size == self._size else picture.resize(self._size)
        pixels = np.asarray(resized.convert("RGB"))[:, :, ::-1]
        height, width = pixels.shape[:2]
        # The sides of such a film are even numbers: a last row or column is repeated.
        self._last = np.ascontiguousarray(np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge"))
        self._writer.write(self._last)
        self.written += 1

    def close(self) -> None:
        """Complete the file and count its frames, since OpenCV reports no failure to write.

        Raises ``VerificationError`` where frames are missing, as on a full disk.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        with silent_opencv() as cv2:
            film = cv2.VideoCapture(str(self._path))
            found = int(film.get(cv2.CAP_PROP_FRAME_COUNT)) if film.isOpened() else 0
            film.release()
        if found != self.written:
            raise VerificationError(
                f"the film with boxes is incomplete, {found} of {self.written} frames; it is removed. Is the disk full?"
            )

    def _open(self, picture: Image.Image) -> None:
        self._size = picture.size
        width, height = (side + side % 2 for side in picture.size)
        with silent_opencv() as cv2:
            self._writer = cv2.VideoWriter(
                str(self._path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*CODEC), self._rate, (width, height)
            )
        if not self._writer.isOpened():
            raise MachineError(
                f"this build of OpenCV, {cv2.__version__}, cannot write a film of {width}x{height} pixels"
            )


@contextmanager
def written_film(path: Path, rate: float) -> Iterator[FilmWriter]:
    """Give a writer of a film that replaces ``path`` at the end of the block.

    After an error, or without a picture, nothing is replaced.

    Raises ``VerificationError`` where the film is incomplete, and ``MachineError`` where it cannot be written.
    """
    with suppress(_NoPictureError), atomic_write(path) as temporary, tempfile.TemporaryDirectory() as folder:
        # OpenCV chooses the container by the ending, which a temporary file does not have: a link has it.
        link = Path(folder) / "film.mp4"
        link.symlink_to(temporary.resolve())
        writer = FilmWriter(link, rate)
        yield writer
        writer.close()
        if not writer.written:
            raise _NoPictureError
