"""Frames of a film file in their order; a broken frame is left out and counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.data.layout.folders import nearby
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.films.container import Container, container_of
from faster_rcnn.films.opencv import rgb_of, silent_opencv
from faster_rcnn.inference.frame import Frame
from faster_rcnn.structures import ImageSize

MAX_BROKEN = 10_000
"""Largest number of frames in a row that cannot be decoded; the film ends there."""
MAX_RATE = 240.0
"""Highest frame rate that is believed: some recordings announce the ticks of their clock, 1,000 a second."""
DEFAULT_RATE = 25.0
"""Frame rate of a film that announces none that can be believed."""


@dataclass(slots=True)
class FilmTally:
    """Counts of the frames that one pass through a film met."""

    passed: int = 0
    """Frames that were decoded, those that ``every`` leaves out included."""
    end: float = 0.0
    """Time of the last of these frames in seconds."""
    broken: list[int] = field(default_factory=list)
    """Numbers of frames that could not be decoded, although later ones could."""
    gap: tuple[float, float] = (0.0, 0.0)
    """The longest time between two frames that follow each other, as both of their times."""
    skipped: int = 0
    """Frames of a camera that were too many for the detector."""
    faults: list[str] = field(default_factory=list)
    """Lines on what was lost; complete at the end of the pass."""


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What the file of a film announces."""

    size: ImageSize
    rate: float
    """Frames per second."""
    frames: int | None
    """Number of frames, exact for some containers and estimated for others; ``None`` where there is no such number."""
    container: Container


class FilmReader:
    """Decodes one film from its beginning to its end; ``close`` releases it."""

    def __init__(self, path: Path, every: int, tally: FilmTally) -> None:
        """Open a film.

        Args:
            path: of the file.
            every: every so many frames one is given; the others are decoded for those after them.
            tally: counts the frames.

        Raises:
            OptionError: there is no such file (E122).
            ImageError: the file is no film, is truncated so that nothing can be decoded, or cannot be read (E104,
                E105).
        """
        self._path, self._every, self._tally = path, every, tally
        container = _container_of(path)
        with silent_opencv() as cv2:
            self._cv2 = cv2
            threads = [cv2.CAP_PROP_N_THREADS, torch.get_num_threads()]
            self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, threads)
        if not self._capture.isOpened():
            raise ImageError(f"cannot decode {path}: {_reason(container)}", code="E105")
        self.facts = _facts(cv2, self._capture, container)
        self._next, self._has_ended = 0, False

    def read(self) -> Frame | None:
        """The next frame that can be decoded; ``None`` at the end of the film."""
        while (number := self._grab()) is not None:
            self._note(self._time(number))
            if number % self._every:
                continue
            is_decoded, pixels = self._capture.retrieve()
            if is_decoded:
                return Frame(rgb_of(pixels), number, self._tally.end, str(self._path))
            self._tally.passed -= 1
            self._tally.broken.append(number)
        return None

    def close(self) -> None:
        """Release the film."""
        self._capture.release()

    def _grab(self) -> int | None:
        """Decode the next frame and return its number.

        A decoder that fails stands behind the broken frame, so the attempts after it reach the later frames.
        """
        first = self._next
        for number in range(first, first + self._attempts()):
            if self._capture.grab():
                self._tally.broken.extend(range(first, number))
                self._next = number + 1
                return number
        self._has_ended = True
        return None

    def _attempts(self) -> int:
        """The number of attempts before the film has ended: one for each frame that it announces still."""
        left = (self.facts.frames or 0) - self._next
        return 0 if self._has_ended else min(max(left, 1), MAX_BROKEN)

    def _note(self, time: float) -> None:
        """Count a frame that was decoded."""
        tally = self._tally
        if tally.passed and time - tally.end > tally.gap[1] - tally.gap[0]:
            tally.gap = tally.end, time
        tally.passed += 1
        tally.end = time

    def _time(self, number: int) -> float:
        """Seconds of the frame that was decoded last; by the frame rate where the film has no times."""
        seconds = self._capture.get(self._cv2.CAP_PROP_POS_MSEC) / 1000
        is_time = math.isfinite(seconds) and (seconds > self._tally.end or number == 0) and seconds >= 0
        return round(seconds if is_time else number / self.facts.rate, 6)


def _container_of(path: Path) -> Container:
    if not path.exists():
        raise OptionError(f"there is no film '{path}'.{nearby(path)}".removesuffix("."), code="E122")
    if not path.is_file():
        raise OptionError(f"{path} is a folder, a pipe or a device; a film is a file", code="E122")
    try:
        return container_of(path)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}", code="E104") from error


def _reason(container: Container) -> str:
    if not container.size:
        return "it is empty"
    if container.is_truncated:
        lost = f"it is truncated, {container.size:,} of {container.announced:,} bytes"
        return f"{lost}, and without its end none of it can be decoded; copy it again"
    return "it is no film, has no frames, is damaged, or is of a kind that OpenCV does not read; convert it to MP4"


def _facts(cv2: Any, capture: Any, container: Container) -> FilmFacts:
    rate, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    height, width = capture.get(cv2.CAP_PROP_FRAME_HEIGHT), capture.get(cv2.CAP_PROP_FRAME_WIDTH)
    return FilmFacts(
        size=ImageSize(int(height), int(width)),
        rate=rate if 0 < rate <= MAX_RATE else DEFAULT_RATE,
        frames=int(frames) if 0 < frames < 2**31 else None,
        container=container,
    )
