"""Frames of a camera: the newest one each time, so that results are not late where the detector is slower.

A camera goes on whether its frames are taken or not. A thread takes all of them, and keeps the last one. The frames
between two that are given are counted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Any, Protocol, runtime_checkable

import numpy as np

from faster_rcnn.errors import MachineError
from faster_rcnn.films.opencv import rgb_of, silent_opencv
from faster_rcnn.films.reader import FilmTally
from faster_rcnn.inference.frame import Frame

MAX_WAIT = 10.0
"""Seconds without a frame after which a camera counts as gone."""

Array = np.ndarray[Any, np.dtype[Any]]


@runtime_checkable
class Capture(Protocol):
    """A camera as OpenCV gives it."""

    def isOpened(self) -> bool:  # noqa: N802  # OpenCV's name
        """Whether there is such a camera."""

    def read(self) -> tuple[bool, Array | None]:
        """The next frame (height, width, 3) in the order blue, green, red; false where the camera gives none."""

    def release(self) -> None:
        """Release the camera."""


@dataclass(slots=True)
class _Newest:
    """The last frame of the camera."""

    pixels: Array
    number: int
    seconds: float


class CameraReader:
    """Takes the frames of a camera in a thread of its own until ``close``."""

    def __init__(self, capture: Capture, name: str, every: int, tally: FilmTally) -> None:
        """Begin to take frames.

        Args:
            capture: an open camera; it is released by ``close``.
            name: of the camera in messages and results.
            every: only every so many frames of the camera may be given.
            tally: counts the frames.
        """
        self._capture, self._name, self._every, self._tally = capture, name, every, tally
        self._newest: _Newest | None = None
        self._changed = Condition()
        self._has_ended = False
        self._given = -1
        self._thread = Thread(target=self._take, name="faster-rcnn-camera", daemon=True)
        self._thread.start()

    def read(self) -> Frame | None:
        """Wait for a frame that was not given yet, and return the newest one; ``None`` where the camera has ended."""
        with self._changed:
            while self._newest is None and not self._has_ended and self._changed.wait(MAX_WAIT):
                pass  # every frame of the camera ends one wait, also one that ``every`` leaves out
            newest, self._newest = self._newest, None
        if newest is None:
            return None
        candidates = newest.number // self._every - self._given // self._every  # those since the frame before
        self._tally.skipped += candidates - 1
        self._given = newest.number
        return Frame(rgb_of(newest.pixels), newest.number, round(newest.seconds, 6), self._name)

    def close(self) -> None:
        """Stop the thread and release the camera."""
        with self._changed:
            self._has_ended = True
        self._thread.join(MAX_WAIT)
        self._capture.release()

    def _take(self) -> None:
        """Take frames until the camera or the reader ends."""
        number, start = 0, 0.0
        while not self._has_ended:
            is_there, pixels = self._capture.read()
            now = time.monotonic()
            start = start or now
            with self._changed:
                if not is_there or pixels is None:
                    self._has_ended = True
                elif number % self._every == 0:
                    self._newest = _Newest(pixels, number, now - start)
                self._tally.passed += is_there
                self._tally.end = now - start
                self._changed.notify_all()
            number += 1


def open_camera(number: int) -> Capture:
    """Open a camera of this machine.

    Raises ``MachineError`` where there is no such camera, or another program uses it.
    """
    with silent_opencv() as cv2:
        capture: Capture = cv2.VideoCapture(number)
        if not capture.isOpened():
            raise MachineError(
                f"camera:{number} cannot be opened: this machine has no camera of this number, or another program "
                "uses it; try another number, or give a film"
            )
        return capture
