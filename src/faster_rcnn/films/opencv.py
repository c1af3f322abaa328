"""OpenCV, which reads and writes films, and the messages of its own that it prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from faster_rcnn.errors import MissingExtraError

FFMPEG_MESSAGES = ("OPENCV_FFMPEG_LOGLEVEL", "-8")
"""The environment variable that FFmpeg inside OpenCV reads once, at its first film, and the value for silence.

FFmpeg prints a line for every damaged part of a film without the name of the file. This package reports such frames
by their film and number.
"""
_SILENT = 0
"""OpenCV's level of no messages."""


def require_opencv() -> Any:
    """The module ``cv2``; raises ``MissingExtraError`` where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-contrib-python-headless", "video") from error
    os.environ.setdefault(*FFMPEG_MESSAGES)
    return cv2


def rgb_of(pixels: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """A frame (height, width, 3) in the order red, green, blue from OpenCV's own order, and back.

    OpenCV's ``cvtColor`` starts threads, with which a process that is forked later would hang.
    """
    return np.ascontiguousarray(pixels[:, :, ::-1])


@contextmanager
def silent_opencv() -> Iterator[Any]:
    """Give the module ``cv2``, which prints no messages of its own within the block."""
    cv2 = require_opencv()
    before = cv2.utils.logging.setLogLevel(_SILENT)
    try:
        yield cv2
    finally:
        cv2.utils.logging.setLogLevel(before)
