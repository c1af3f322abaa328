"""From an image file to 8-bit RGB pixels, upright.

Whatever a file holds (grey, palette, transparency, 16 bits, an EXIF orientation) becomes the same kind of tensor, and
what was done is said, so that it can be counted and told.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from faster_rcnn.data import jpeg
from faster_rcnn.errors import ImageError
from faster_rcnn.structures import ImageSize

_LOG = logging.getLogger(__name__)
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FLIPPED = {2: (2,), 3: (1, 2), 4: (1,), 5: (), 6: (2,), 7: (1, 2), 8: (1,)}
"""Axes (1 is down, 2 is right) that are turned round by orientation, from 5 on after rows and columns have changed."""
_TAIL = 4096
_ROWS = 256
# What Pillow's plugins raise on damaged files; a blind `except Exception` would also hide faults of ours.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


class ImageHeader(NamedTuple):
    """What the first bytes of an image file tell."""

    size: ImageSize
    """Upright."""
    orientation: int
    """EXIF: 1 is upright as stored, 5 to 8 swap width and height."""
    conversion: str | None
    """What has to be done to make it upright 8-bit RGB; none if nothing."""


def image_header(source: Path | bytes, max_pixels: int) -> ImageHeader:
    """Look at an image without decoding its pixels.

    Raises:
        ImageError: it is no image (E105), has too many pixels (E120) or values without a fixed range (E119).
    """
    with _opened(source, max_pixels) as (image, _):
        return _header(image)


def image_size(path: Path, max_pixels: int = 178_956_970) -> ImageSize:
    """Upright size of an image file, without decoding its pixels; raises like ``image_header``."""
    return image_header(path, max_pixels).size


class Decoded(NamedTuple):
    """An upright image in RGB."""

    pixels: UInt8[Tensor, "3 height width"]
    """In channels-last memory format, the order that is resized fastest."""
    conversion: str | None
    """What was done to make it upright 8-bit RGB; none if nothing."""
    damage: str | None
    """A line about damage that the decoder went over; none where it found none."""


def read_image(source: Path | bytes, max_pixels: int) -> tuple[UInt8[Tensor, "3 height width"], str | None]:
    """Decode an image file, or its bytes, to upright RGB, with what was converted, if anything.

    Damage that the decoder goes over is logged with the file's name.

    Raises:
        ImageError: it cannot be decoded (E105), is too large (E120) or has values without a fixed range (E119).
    """
    decoded = decode_image(source, max_pixels)
    if decoded.damage is not None:
        _LOG.warning("%s", decoded.damage)
    return decoded.pixels, decoded.conversion


def decode_image(source: Path | bytes, max_pixels: int) -> Decoded:
    """Decode an image file, or its bytes; raises as ``read_image`` does."""
    with _opened(source, max_pixels) as (image, stream):
        header = _header(image)
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
            stream.seek(0)
            found = jpeg.decode(stream.read())
            if found is not None:
                return Decoded(
                    _turned(found.pixels, header.orientation), header.conversion, _told(source, found.damage)
                )
        # Pillow turns TIFFs upright by itself while loading and then removes the tag, so the tag is read again.
        image.load()
        upright = _UPRIGHT.get(_orientation(image))
        rgb = _to_rgb(image)
        rgb = rgb if upright is None else rgb.transpose(upright)
        return Decoded(_channels_first(rgb), header.conversion, None)


def _told(source: Path | bytes, damage: str | None) -> str | None:
    name = "image" if isinstance(source, bytes) else str(source)
    return None if damage is None else f"{name} may be damaged: {damage}; it is used as it was decoded"


def _turned(pixels: UInt8[Tensor, "3 height width"], orientation: int) -> UInt8[Tensor, "3 height2 width2"]:
    """The upright image of one that is stored with an EXIF orientation."""
    if orientation == 1:
        return pixels
    across = pixels.mT if orientation >= 5 else pixels
    return across.flip(_FLIPPED[orientation]).permute(1, 2, 0).contiguous().permute(2, 0, 1)


def is_whole(path: Path, max_pixels: int) -> bool:
    """Whether an image file seems complete: cheap, by its end mark; only a doubtful file is decoded.

    A JPEG ends with FFD9 and a PNG with IEND, possibly with a camera's appendix behind it.
    """
    with path.open("rb", buffering=0) as stream:  # two short reads: a buffer would only be filled twice
        start = stream.read(4)
        stream.seek(max(0, stream.seek(0, io.SEEK_END) - _TAIL))
        tail = stream.read()
    if (start[:2] == b"\xff\xd8" and b"\xff\xd9" in tail) or (start == b"\x89PNG" and b"IEND" in tail):
        return True
    try:
        read_image(path, max_pixels)
    except ImageError:
        return False
    return True


@contextmanager
def _opened(source: Path | bytes, max_pixels: int) -> Iterator[tuple[Image.Image, io.BufferedIOBase]]:
    """The image and the stream it is read from; Pillow's own size check and warnings make way for ours."""
    name = "image" if isinstance(source, bytes) else str(source)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            _without_size_limit(),
            io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream,
            Image.open(stream) as image,
        ):
            _refuse_unusable(image, name, max_pixels)
            yield image, stream
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist", code="E104") from error
    except _DAMAGE as error:
        raise ImageError(f"cannot decode {name}: {_cause(error)}", code="E105") from error


@contextmanager
def _without_size_limit() -> Iterator[None]:
    """Pillow refuses images by a limit of its own, which is a global; ours is a setting."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _refuse_unusable(image: Image.Image, name: str, max_pixels: int) -> None:
    pixels = image.width * image.height
    if pixels > max_pixels:
        raise ImageError(
            f"{name} has {image.width}x{image.height} = {pixels:,} pixels, more than the limit of {max_pixels:,}; "
            f"if it is genuine, raise it: --set data.max_pixels={pixels}",
            code="E120",
        )
    if image.mode == "F" or (image.mode == "I" and image.format != "PNG"):
        kind = "floats" if image.mode == "F" else "32-bit numbers"
        raise ImageError(f"{name} holds {kind}, whose range is not known; save it with 8 or 16 bits", code="E119")


def _cause(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a known format"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _header(image: Image.Image) -> ImageHeader:
    orientation = _orientation(image)
    width, height = image.size
    # Pillow reports TIFF sizes as they will be after its own rotation.
    if orientation >= 5 and image.format != "TIFF":
        width, height = height, width
    steps = [step for step in (_mode_step(image), "EXIF rotation" if orientation > 1 else None) if step]
    return ImageHeader(ImageSize(height, width), orientation, ", ".join(steps) or None)


def _orientation(image: Image.Image) -> int:
    # The base class's method: PNG's own decodes all pixels in search of a tag behind them.
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return value if value in _UPRIGHT else 1


def _mode_step(image: Image.Image) -> str | None:
    """What has to be done about the kind of pixels."""
    mode = image.mode
    if mode.startswith("I") or ";16" in str(getattr(image, "tile", "")):
        return "16-bit"
    if mode in ("1", "L"):
        return "grey"
    if mode in ("P", "PA"):
        return "palette"
    if mode in ("RGBA", "LA", "La", "RGBa", "RGBX"):
        return "alpha removed"
    return None if mode == "RGB" else mode


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 65535 / 257 = 255: the range is kept; Pillow's own conversion would cut off at 255.
        grey = (np.asarray(image).astype(np.int64).clip(0, 65535) + 128) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("P", "PA"):
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _channels_first(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """Band by band: Pillow and numpy would copy all pixels three times more, 4 GB of a large image."""
    rows = torch.empty(image.height, image.width, 3, dtype=torch.uint8)
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        band = np.array(image.crop((0, top, image.width, bottom)))
        rows[top:bottom] = torch.from_numpy(band)
    return rows.permute(2, 0, 1)
