"""Decoding of image files to upright uint8 RGB pixels.

Every content of a file (grey, palette, transparency, 16 bits, an EXIF orientation) becomes the same kind of tensor, and
the conversion is returned, so that it can be counted and reported.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from faster_rcnn.data import jpeg
from faster_rcnn.data.decoder_warnings import decoder_warnings
from faster_rcnn.data.opening import DAMAGE, opened, source_name
from faster_rcnn.errors import ImageError
from faster_rcnn.parsing.values import first_of
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
"""Axes (1 is down, 2 is right) that are flipped, by EXIF orientation; from 5 on after a transposition."""
_TAIL = 4096
_BAND_PIXELS = 2**20
"""Pixels of a band of an image; a band is one row where that has more."""


class ImageHeader(NamedTuple):
    """The properties of an image that are known from the first bytes of its file."""

    size: ImageSize
    """Size of the upright image."""
    orientation: int
    """EXIF: 1 is upright as stored, 5 to 8 swap width and height."""
    conversion: str | None
    """The conversion to upright 8-bit RGB that is needed; ``None`` if none is."""
    type: str
    """The type of the content, as Pillow names it: ``JPEG``, ``PNG``."""


def image_header(source: Path | bytes, max_pixels: int) -> ImageHeader:
    """Read the header of an image without decoding its pixels.

    Raises:
        ImageError: ``source`` is no image (E105), has too many pixels (E120) or values without a fixed range (E119).
    """
    with opened(source, max_pixels) as (image, _):
        return _header(image)


class Decoded(NamedTuple):
    """A decoded upright image in RGB."""

    pixels: UInt8[Tensor, "3 height width"]
    """Pixels in channels-last memory format, which is resized fastest."""
    conversion: str | None
    """The conversion to upright 8-bit RGB that was done; ``None`` if none was."""
    damage: str | None
    """A line about damage that the decoder skipped; ``None`` where it found none."""


def read_image(source: Path | bytes, max_pixels: int) -> tuple[UInt8[Tensor, "3 height width"], str | None]:
    """Decode an image file, or its bytes, to upright RGB; also give the conversion, if one was needed.

    Damage that the decoder skips is logged with the file's name.

    Raises:
        ImageError: ``source`` cannot be decoded (E105), is too large (E120) or has values without a fixed range (E119).
    """
    decoded = decode_image(source, max_pixels)
    if decoded.damage is not None:
        _LOG.warning("%s", decoded.damage)
    return decoded.pixels, decoded.conversion


def decode_image(source: Path | bytes, max_pixels: int) -> Decoded:
    """Decode an image file, or its bytes; raises as ``read_image`` does."""
    with opened(source, max_pixels) as (image, stream):
        header = _header(image)
        if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
            stream.seek(0)
            encoded = stream.read()
            _refuse_scans(source, jpeg.count_scans(encoded))
            found = jpeg.decode(encoded)
            if found is not None:
                return Decoded(
                    _upright(found.pixels, header.orientation), header.conversion, _damage_line(source, found.damage)
                )
        # Pillow turns TIFFs upright by itself while loading and then removes the tag, so the tag is read again.
        with decoder_warnings() as warned:
            image.load()
        upright = _UPRIGHT.get(_orientation(image))
        pixels = _in_rgb(image if upright is None else image.transpose(upright))
        return Decoded(pixels, header.conversion, _damage_line(source, first_of(dict.fromkeys(warned), 3) or None))


def _refuse_scans(source: Path | bytes, scans: int) -> None:
    if scans > jpeg.MAX_SCANS:
        raise ImageError(
            f"cannot decode {source_name(source)}: it is a JPEG of {scans:,} scans, more than the {jpeg.MAX_SCANS} "
            "that are read; save it again",
            code="E105",
        )


def _damage_line(source: Path | bytes, damage: str | None) -> str | None:
    return None if damage is None else f"{source_name(source)} may be damaged: {damage}; it is used as it was decoded"


def _upright(pixels: UInt8[Tensor, "3 height width"], orientation: int) -> UInt8[Tensor, "3 height2 width2"]:
    """The upright pixels of an image that is stored in an EXIF orientation."""
    if orientation == 1:
        return pixels
    across = pixels.mT if orientation >= 5 else pixels
    return across.flip(_FLIPPED[orientation]).permute(1, 2, 0).contiguous().permute(2, 0, 1)


def is_whole(path: Path, max_pixels: int) -> bool:
    """Whether an image file seems complete, by its cheap end mark; only a doubtful file is decoded.

    A JPEG ends with FFD9 and a PNG with IEND, possibly followed by data that a camera appends.
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


def _header(image: Image.Image) -> ImageHeader:
    orientation = _orientation(image)
    width, height = image.size
    # Pillow reports the sizes of TIFFs after its own rotation.
    if orientation >= 5 and image.format != "TIFF":
        width, height = height, width
    steps = [step for step in (_mode_step(image), "EXIF rotation" if orientation > 1 else None) if step]
    return ImageHeader(ImageSize(height, width), orientation, ", ".join(steps) or None, image.format or "")


def _orientation(image: Image.Image) -> int:
    # The method of the base class: that of PNG decodes all pixels in search of a tag behind them.
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION, 1)
    except DAMAGE:
        return 1
    return value if value in _UPRIGHT else 1


def _mode_step(image: Image.Image) -> str | None:
    """The conversion that the pixel mode of an image needs; ``None`` for RGB."""
    mode = image.mode
    if mode.startswith("I") or ";16" in str(getattr(image, "tile", "")):
        return "16-bit"
    if mode == "1":
        return "1-bit"
    if mode == "L":
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


def _in_rgb(image: Image.Image) -> UInt8[Tensor, "3 height width"]:
    """Convert an image to RGB band by band; at once, Pillow and numpy would make copies of up to 4 GB."""
    rows = torch.empty(image.height, image.width, 3, dtype=torch.uint8)
    step = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        band = np.array(_to_rgb(image.crop((0, top, image.width, bottom))))
        rows[top:bottom] = torch.from_numpy(band)
    return rows.permute(2, 0, 1)
