from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.films.opencv import FFMPEG_MESSAGES, require_opencv, rgb_of, silent_opencv
from made_films import cv2


def test_a_missing_opencv_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match=r"'opencv-contrib-python-headless': pip install 'faster-rcnn\[video\]"):
        require_opencv()


def test_ffmpeg_is_silent_unless_the_user_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FFMPEG_MESSAGES[0], "32")
    require_opencv()
    assert os.environ[FFMPEG_MESSAGES[0]] == "32"
    monkeypatch.delenv(FFMPEG_MESSAGES[0])
    require_opencv()
    assert os.environ[FFMPEG_MESSAGES[0]] == "-8"


def test_a_frame_of_opencv_has_its_channels_in_the_other_order() -> None:
    found = rgb_of(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert found[0].tolist() == [[2, 1, 0], [5, 4, 3]]
    assert found.flags.c_contiguous


def test_the_level_of_opencv_is_restored() -> None:
    before = cv2.utils.logging.getLogLevel()
    with silent_opencv() as module:
        assert module.utils.logging.getLogLevel() == 0 != before
    assert cv2.utils.logging.getLogLevel() == before
