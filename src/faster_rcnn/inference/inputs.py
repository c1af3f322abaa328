"""Conversion of images of every kind to upright 8-bit RGB.

The data's decoder reads files and bytes. Arrays and tensors do not state their range or the order of their axes, so
those that are probably not what their owner believes are refused: a wrong guess would only show as bad detections.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from faster_rcnn.data.decode import read_image
from faster_rcnn.errors import ImageError, ImageMemoryError, is_out_of_memory
from faster_rcnn.inference.frame import Frame
from faster_rcnn.inference.tiles import MAX_PIXELS

AnyImage = str | Path | bytes | Image.Image | np.ndarray[Any, np.dtype[Any]] | Tensor | Frame
"""Path, encoded bytes, PIL image, RGB array (height, width, 3), RGB tensor (3, height, width), or frame of a film.

Arrays and tensors are 8-bit, or floats in 0..1. Grey ones have one channel or no such dimension, RGBA has four.
"""

CHANNELS = (1, 3, 4)
"""Numbers of channels of arrays and tensors: grey, RGB, and RGBA, whose alpha is removed as that of files is."""

KINDS = (str, Path, bytes, Image.Image, np.ndarray, Tensor, Frame)
"""The types of ``AnyImage``, for ``isinstance``."""

_KEPT_BY_PNG = ("1", "L", "LA", "P", "RGBA", "I", "I;16", "I;16B", "I;16L")
"""Pillow's modes that a PNG stores as they are."""

# While it reads, the decoder changes a limit of Pillow and Python's filters for warnings; both are global.
_ONE_AT_A_TIME = threading.Lock()


def to_pixels(image: AnyImage, name: str, max_pixels: int) -> UInt8[Tensor, "3 height width"]:
    """Decode an image to upright 8-bit RGB on the CPU.

    Args:
        image: an image of any kind.
        name: the name in messages of an image that has no path.
        max_pixels: the largest number of pixels of a file; larger ones are refused.

    Raises:
        ImageError: the image cannot be decoded or is too large (E104, E105, E119, E120), or it is an array of another
            kind than ``AnyImage`` allows (E121).
    """
    if isinstance(image, str | Path | bytes):
        return _decoded(Path(image) if isinstance(image, str) else image, max_pixels)
    if isinstance(image, Image.Image):
        return _of_pillow(image, name, max_pixels)
    if isinstance(image, np.ndarray):
        return _of_array(image, name)
    if isinstance(image, Tensor):
        return _of_tensor(image, name)
    if isinstance(image, Frame):
        return _of_array(image.pixels, image.name)
    raise ImageError(
        f"{name} is of type {type(image).__name__}; an image is a path, bytes, a PIL image, an RGB array (height, "
        "width, 3) or an RGB tensor (3, height, width)",
        code="E121",
    )


def out_of_memory(error: Exception, name: str) -> ImageMemoryError:
    """Convert a failure for lack of memory to the error of one image; any other error is raised again."""
    if not is_out_of_memory(error):
        raise error
    return ImageMemoryError(f"{name} needs more memory than there is; make it smaller, or free memory", code="E120")


def _decoded(source: Path | bytes, max_pixels: int) -> Tensor:
    if isinstance(source, Path) and source.is_dir():
        raise ImageError(f"{source} is a folder; give its images, such as sorted(Path(...).glob('*.jpg'))", code="E122")
    try:
        with _ONE_AT_A_TIME:
            return read_image(source, max_pixels)[0]
    except ImageError as error:
        if error.code != "E120" or "data.max_pixels" not in error.text:
            raise
        # The limit comes from the model file here, so changing the setting that the decoder names would not help.
        tiles = f"detect it in tiles (--tile 800, up to {MAX_PIXELS:,} pixels), or " if max_pixels < MAX_PIXELS else ""
        fault = error.text.partition(";")[0]
        raise ImageError(f"{fault}; {tiles}make the image smaller first", code="E120") from error


def _of_pillow(image: Image.Image, name: str, max_pixels: int) -> Tensor:
    try:
        with _ONE_AT_A_TIME:
            upright = ImageOps.exif_transpose(image)
        if upright.mode in _KEPT_BY_PNG:
            # The decoder converts it, so that 16-bit pixels, palettes and transparency are handled in one place only.
            encoded = io.BytesIO()
            upright.save(encoded, "PNG", compress_level=0)
            return _decoded(encoded.getvalue(), max_pixels)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"cannot decode {getattr(image, 'filename', '') or name}: {error}", code="E105") from error
    if upright.mode == "F":
        raise ImageError(f"{name} holds floats, whose range is not known; give it with 8 or 16 bits", code="E119")
    return _channels_first(np.array(upright.convert("RGB")))


def _of_array(image: np.ndarray[Any, np.dtype[Any]], name: str) -> Tensor:
    shape = "x".join(map(str, image.shape))
    if image.ndim == 3 and image.shape[2] not in CHANNELS and image.shape[0] in CHANNELS:
        raise ImageError(
            f"{name} is an array of {shape}, channels first; arrays are (height, width, 3): transpose(1, 2, 0), or "
            "give a tensor",
            code="E121",
        )
    grey = image[:, :, None] if image.ndim == 2 else image
    _refuse_shape(name, f"an array of {shape}", grey.ndim, grey.shape[-1:], "(height, width, 3)")
    _refuse_empty(name, shape, image.size)
    if image.dtype.byteorder not in ("=", "|"):
        grey = grey.astype(grey.dtype.newbyteorder("="))
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise _wrong_type(name, str(image.dtype))
    return _as_uint8(_three_channels(_channels_first(grey[:, :, :3])), name)


def _of_tensor(image: Tensor, name: str) -> Tensor:
    shape = "x".join(map(str, image.shape))
    if image.ndim == 3 and image.shape[0] not in CHANNELS and image.shape[2] in CHANNELS:
        raise ImageError(
            f"{name} is a tensor of {shape}, channels last; tensors are (3, height, width): permute(2, 0, 1), or "
            "give an array",
            code="E121",
        )
    _refuse_without_values(image, name)
    grey = image[None] if image.ndim == 2 else image
    _refuse_shape(name, f"a tensor of {shape}", grey.ndim, tuple(grey.shape[:1]), "(3, height, width)")
    _refuse_empty(name, shape, image.numel())
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise _wrong_type(name, str(image.dtype).removeprefix("torch."))
    # The pixels are a copy, as an array's are: the owner may change the tensor meanwhile.
    pixels = grey[:3].detach().cpu()
    return _as_uint8(_three_channels(pixels.clone() if image.dtype == torch.uint8 else pixels), name)


def _three_channels(image: Tensor) -> Tensor:
    """Repeat the channel of a grey image three times, as the decoder does for grey files."""
    return image.repeat(3, 1, 1) if len(image) == 1 else image


def _refuse_without_values(image: Tensor, name: str) -> None:
    """Raise ``ImageError`` for a tensor without dense values in memory: a meta tensor or a sparse one."""
    if image.is_meta:
        raise ImageError(f"{name} is a tensor of torch's device meta, which has a shape and no numbers", code="E121")
    if image.layout != torch.strided:
        raise ImageError(f"{name} is a sparse tensor ({image.layout}); give a dense one: .to_dense()", code="E121")


def _refuse_shape(name: str, what: str, dimensions: int, channels: tuple[int, ...], wanted: str) -> None:
    if dimensions == 4:
        raise ImageError(f"{name} is {what}, which is many images; give them one by one, in a list", code="E121")
    if dimensions != 3 or channels[0] not in CHANNELS:
        raise ImageError(f"{name} is {what}; RGB is {wanted}, and grey is one channel or none", code="E121")


def _refuse_empty(name: str, shape: str, numbers: int) -> None:
    if not numbers:
        raise ImageError(f"{name} of {shape} has no pixels", code="E121")


def _wrong_type(name: str, kind: str) -> ImageError:
    wide = ": divide by the largest value that is possible" if "16" in kind or "32" in kind else ""
    return ImageError(
        f"{name} holds {kind}; give 8-bit numbers (uint8) in 0..255, or floats in 0..1{wide}", code="E121"
    )


def _channels_first(image: np.ndarray[Any, np.dtype[Any]]) -> Tensor:
    # A copy: arrays may be read-only, flipped (negative strides) or changed by their owner meanwhile.
    return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)


def _as_uint8(image: Tensor, name: str) -> UInt8[Tensor, "3 height width"]:
    """Convert floats in 0..1 to uint8, so that one picture gives the same detections whatever its type is."""
    if image.dtype == torch.uint8:
        return image
    image = image.float()
    if not image.isfinite().all():
        raise ImageError(f"{name} holds numbers that are not finite (NaN or infinite)", code="E121")
    low, high = image.min().item(), image.max().item()
    # Resampling may overshoot 0..1 a little; values further outside are of another range.
    if high > 1.5:
        raise ImageError(f"{name} holds floats up to {high:.4g}; floats must be in 0..1, or give uint8", code="E121")
    if low < -0.5:
        raise ImageError(
            f"{name} holds floats down to {low:.4g}; floats must be in 0..1, and the detector normalises by itself",
            code="E121",
        )
    return image.clamp(0, 1).mul(255).round().to(torch.uint8)
