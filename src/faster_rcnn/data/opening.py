"""Opening of image files and bytes with Pillow; whatever cannot be opened raises ``ImageError`` with one line."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from faster_rcnn.errors import ImageError, is_out_of_memory
from faster_rcnn.system.files import ABOUT_LFS, LFS_POINTER, open_file

LONGEST_SIDE = 2**24
"""Maximum width and height in pixels: up to here float32, the type of boxes, represents every integer."""
_ICON = b"\0\0\1\0"
_NOT_READ = frozenset(("EPS", "WMF", "IPTC", "FPX", "MIC", "BUFR", "GRIB", "HDF5", "MPEG", "FLI"))
"""Formats of Pillow that are not pixel images, or that need other programs: for EPS Pillow runs Ghostscript."""

# What Pillow's plugins raise on damaged files; `except Exception` would also hide faults of this package.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class NamedBytes(bytes):
    """The content of an image that is no file of this machine, with its name for messages."""

    def __new__(cls, content: bytes, name: str) -> NamedBytes:
        """Copy the content."""
        return super().__new__(cls, content)

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[type[NamedBytes], tuple[bytes, str]]:
        """Pickle with the name."""
        return NamedBytes, (bytes(self), self.name)


def source_name(source: Path | bytes) -> str:
    """The name of an image in messages: its path, the name of its bytes, or ``image``."""
    return str(source) if isinstance(source, Path) else getattr(source, "name", "image")


@contextmanager
def opened(source: Path | bytes, max_pixels: int) -> Iterator[tuple[Image.Image, io.BufferedIOBase]]:
    """Open an image: give it and the stream that it is read from, with our size check instead of Pillow's.

    Raises:
        ImageError: ``source`` is no file (E104), no image (E105), has too many pixels (E120) or values without a fixed
            range (E119). The same errors are raised within the block, where the decoder fails.
    """
    name = source_name(source)
    pillows_limit = Image.MAX_IMAGE_PIXELS
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            io.BytesIO(source) if isinstance(source, bytes) else open_file(source) as stream,
            _image_in(stream, max_pixels) as image,
        ):
            _refuse_unusable(image, name, max_pixels)
            yield image, stream
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name} holds an image of more pixels than the limit of {max_pixels:,}; if it is genuine, raise it: "
            "--set data.max_pixels=N",
            code="E120",
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(_unidentified(source, name), code="E105") from error
    except DAMAGE as error:
        if is_out_of_memory(error):
            raise
        if isinstance(error, OSError) and error.errno is not None:
            raise ImageError(_unreadable(source, name, error), code="E104") from error
        raise ImageError(f"cannot decode {name}: {_cause(error)}", code="E105") from error
    finally:
        Image.MAX_IMAGE_PIXELS = pillows_limit


def _image_in(stream: io.BytesIO | io.BufferedReader, max_pixels: int) -> Image.Image:
    """Open an image with Pillow's limit, which is a global and refuses twice as many pixels, set to our limit.

    Our own check measures the image itself, with its name in the message; Pillow's check measures images within the
    image. The images of an icon are decoded while it is opened, so for icons the limit is set before.
    """
    within = -(-max_pixels // 2)
    is_icon = stream.read(len(_ICON)) == _ICON
    stream.seek(0)
    Image.MAX_IMAGE_PIXELS = within if is_icon else None
    image = Image.open(stream)
    Image.MAX_IMAGE_PIXELS = within
    return image


def _unreadable(source: Path | bytes, name: str, error: OSError) -> str:
    """The reason for which the system does not open a file."""
    if isinstance(error, FileNotFoundError):
        broken = isinstance(source, Path) and source.is_symlink()
        return f"{name} is a link to a file that does not exist" if broken else f"{name} does not exist"
    return f"cannot read {name}: {error.strerror}"


def _unidentified(source: Path | bytes, name: str) -> str:
    """The message for a file that no decoder recognises."""
    if isinstance(source, Path):
        with open_file(source) as stream:
            source = stream.read(len(LFS_POINTER))
    why = ABOUT_LFS if source.startswith(LFS_POINTER) else "it is not an image of a known format"
    return f"cannot decode {name}: {why}"


def _refuse_unusable(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.format in _NOT_READ:
        raise ImageError(f"cannot decode {name}: {image.format} is not read; save it as JPEG or PNG", code="E105")
    if max(image.size) > LONGEST_SIDE:
        raise ImageError(
            f"{name} has {image.width}x{image.height} pixels; boxes are exact in images of up to {LONGEST_SIDE:,} "
            "pixels in width and height, so cut it into parts",
            code="E120",
        )
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
    return str(error).splitlines()[0] if str(error) else type(error).__name__
