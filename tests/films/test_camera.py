"""Cameras that are made here: no machine of the tests has one."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import Any

import numpy as np
import pytest

from faster_rcnn.errors import MachineError
from faster_rcnn.films import camera
from faster_rcnn.films.camera import CameraReader, open_camera
from faster_rcnn.films.reader import FilmTally


class MadeCamera:
    """Gives a frame whenever a test allows one more; its pixels are the number of the frame."""

    def __init__(self, frames: int) -> None:
        self.left, self.given, self.released = frames, 0, False
        self.allowed = threading.Semaphore(0)

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def read(self) -> tuple[bool, Any]:
        self.allowed.acquire()
        if self.given == self.left:
            return False, None
        pixels = np.full((4, 6, 3), (self.given, 100, 200), np.uint8)
        self.given += 1
        return True, pixels

    def release(self) -> None:
        self.released = True

    def give(self, count: int, tally: FilmTally) -> None:
        """Let the camera give so many frames, and wait until they are taken."""
        wanted = tally.passed + count
        for _ in range(count):
            self.allowed.release()
        while tally.passed < wanted:
            time.sleep(0.001)


def test_the_newest_frame_is_given_and_the_others_are_counted() -> None:
    made, tally = MadeCamera(8), FilmTally()
    with closing(CameraReader(made, "camera:3", 1, tally)) as reader:
        made.give(1, tally)
        first = reader.read()
        made.give(5, tally)
        second = reader.read()
        assert first is not None
        assert second is not None
        assert (first.number, second.number, first.film) == (0, 5, "camera:3")
        assert first.time == 0.0 < second.time
        assert second.pixels[0, 0].tolist() == [200, 100, 5]  # red, green, blue
        assert (tally.skipped, tally.passed) == (4, 6)
        made.allowed.release(10)
        while (last := reader.read()) is not None:
            second = last
        assert second.number == 7
        assert reader.read() is None
    assert made.released


def test_every_third_frame_may_be_given() -> None:
    made, tally = MadeCamera(20), FilmTally()
    with closing(CameraReader(made, "camera:0", 3, tally)) as reader:
        made.give(3, tally)
        assert reader.read().number == 0  # type: ignore[union-attr]
        made.give(8, tally)  # frames 3 to 10, of which 3, 6 and 9 count
        assert reader.read().number == 9  # type: ignore[union-attr]
        assert tally.skipped == 2
        made.allowed.release(20)


def test_a_camera_that_gives_no_frame_counts_as_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "MAX_WAIT", 0.05)
    made = MadeCamera(5)
    with closing(CameraReader(made, "camera:0", 1, FilmTally())) as reader:
        assert reader.read() is None
        made.allowed.release()


def test_a_camera_that_is_not_there_is_the_machines_fault(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cv2")
    with pytest.raises(MachineError, match=r"^camera:97 cannot be opened: this machine has no camera of this number"):
        open_camera(97)
    assert capfd.readouterr().err == ""
