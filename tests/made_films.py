"""Films that the tests make: digits that move over a blurred ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

cv2: Any = pytest.importorskip("cv2", reason="needs OpenCV: pip install opencv-contrib-python-headless")
cv2.setNumThreads(1)  # selective search hangs in a process that is forked where OpenCV has started threads

RATE = 25
CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".webm": "VP80", ".mkv": "mp4v"}

Array = np.ndarray[Any, np.dtype[np.uint8]]


def film_file(
    path: Path, frames: int = 12, width: int = 96, height: int = 64, rate: float = RATE, codec: str | None = None
) -> Path:
    """A film whose digits move by 3 pixels a frame; its ending chooses the container, and the codec by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*(codec or CODECS[path.suffix])), rate, (width, height))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture(number, width, height))
    writer.release()
    return path


def picture(number: int, width: int = 96, height: int = 64) -> Array:
    """A frame in the order of channels of OpenCV: blue, green, red."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ground = cv2.GaussianBlur(noise, (9, 9), 3)
    for digit in range(3):
        place = (number * 3 + 30 * digit) % width, 20 + 18 * digit
        cv2.putText(ground, str((number + digit) % 10), place, cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 255), 2)
    return np.asarray(ground)


def decoded(path: Path) -> list[Array]:
    """All frames of a film in RGB, as OpenCV gives them."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (one := capture.read())[0]:
        frames.append(np.ascontiguousarray(one[1][:, :, ::-1]))
    capture.release()
    return frames


def damaged(path: Path, start: float = 0.45, end: float = 0.55) -> Path:
    """Replace a part of a film, given in shares of its length, by zeros."""
    content = bytearray(path.read_bytes())
    first, last = int(start * len(content)), int(end * len(content))
    content[first:last] = bytes(last - first)
    path.write_bytes(content)
    return path


def truncated(path: Path, share: float = 0.6) -> Path:
    """Keep the beginning of a film."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path
