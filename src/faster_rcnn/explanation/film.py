"""The film of one image as a file: GIF by Pillow, or MP4 where OpenCV is installed."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faster_rcnn.errors import MachineError, MissingExtraError, OptionError
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.plots.choice import chosen_part
from faster_rcnn.explanation.plots.scenes import FilmFrame, film_frames
from faster_rcnn.system.atomic import atomic_write

SIDES = (640, 560, 480, 360)
"""Largest width and height of the image in a GIF in pixels: the first that gives a file of at most ``MAX_BYTES``."""
MAX_BYTES = 3_000_000
COLOURS = 255
"""Colours of a GIF; one more marks pixels that do not change."""
RATE = 10
"""Pictures per second of an MP4: a tenth of a second is the shortest time that a frame is shown."""
CODEC = "vp09"
"""VP9: browsers play it, and OpenCV's packages have an encoder for it, which they lack for H.264."""


_LOG = logging.getLogger(__name__)


def write_film(explained: Explained, path: Path, part: int | None = None) -> None:
    """Write the film of a recorded image: the first stage slides over the features, then its boxes appear.

    Args:
        explained: a recorded image, such as a ``Trace``.
        path: of the file, which is complete or absent; its ending is ``.gif`` or ``.mp4``.
        part: 0 for the whole image, then its tiles row by row; by default the part of the best detection.

    Raises:
        OptionError: the ending is another one, the detector used external proposals, or there is no such part (E125).
        MissingExtraError: an MP4, and OpenCV is not installed.
        MachineError: the file cannot be written.
    """
    encoders = {".gif": gif_of, ".mp4": mp4_of}
    encode = encoders.get(path.suffix.lower())
    if encode is None:
        raise OptionError(f"{path.name}: a film is a .gif or an .mp4 file; choose one of these endings", code="E125")
    content = encode(explained, part)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def write_films(explained: Explained, path: Path) -> tuple[Path, ...]:
    """Write the film as ``path``.gif and, where OpenCV is installed, as ``path``.mp4; return what was written.

    The arguments and errors are those of ``write_film``; a line is logged where there is no MP4.
    """
    gif, mp4 = path.with_name(f"{path.name}.gif"), path.with_name(f"{path.name}.mp4")
    write_film(explained, gif)
    try:
        write_film(explained, mp4)
    except MissingExtraError as error:
        _LOG.info(f"{mp4.name} is not written: {error}")
        return (gif,)
    return gif, mp4


def gif_of(explained: Explained, part: int | None = None) -> bytes:
    """The film as a GIF of at most ``MAX_BYTES`` where the smallest of ``SIDES`` suffices for that."""
    fates = chosen_part(explained.recording, explained.fates, part)
    content = b""
    for side in SIDES:
        content = _gif(list(film_frames(explained.recording, fates, side)))
        if len(content) <= MAX_BYTES:
            break
    return content


def mp4_of(explained: Explained, part: int | None = None) -> bytes:
    """The film as an MP4; raises ``MissingExtraError`` where OpenCV is not installed."""
    cv2 = _opencv()
    fates = chosen_part(explained.recording, explained.fates, part)
    frames = list(film_frames(explained.recording, fates, SIDES[0]))
    # The sides of a film are even numbers.
    width, height = (side // 2 * 2 for side in frames[0].picture.size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODEC), RATE, (width, height))
        if not writer.isOpened():
            raise MachineError(f"this build of OpenCV, {cv2.__version__}, cannot write VP9; write a .gif file instead")
        for frame in frames:
            pixels = np.ascontiguousarray(np.asarray(frame.picture)[:height, :width, ::-1])  # BGR
            for _ in range(max(1, round(frame.milliseconds * RATE / 1000))):
                writer.write(pixels)
        writer.release()
        return path.read_bytes()


def _gif(frames: Sequence[FilmFrame]) -> bytes:
    """Frames as a GIF that repeats, in one palette for all of them."""
    palette = _palette([frame.picture for frame in frames])
    # Dithering would change pixels that stay, and make the file several times larger.
    pictures = [frame.picture.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    output = io.BytesIO()
    pictures[0].save(
        output,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[frame.milliseconds for frame in frames],
        loop=0,
        optimize=False,
    )
    return output.getvalue()


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """A palette for all pictures, from some of them, the first and the last included."""
    step = max(1, len(pictures) // 8)
    chosen = [*pictures[::step], pictures[-1]]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width, height * len(chosen)))
    for number, picture in enumerate(chosen):
        sheet.paste(picture, (0, height * number))
    # The octree keeps the few colours of boxes and maps, where the median cut spends most of its colours on the photo;
    # the file is a quarter smaller (2.3 for 3.1 MB on a photo of blood cells).
    return sheet.quantize(COLOURS, method=Image.Quantize.FASTOCTREE)


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("opencv-contrib-python-headless", "proposals") from error
    return cv2
