"""Sizes, frames and pixels of images: from a decoded image to the input of the backbone, and back.

Frames: an *original* image is upright, in its own pixels; a *resized* image has the short side of the settings;
a batch holds resized images, padded with zeros at the right and bottom. Anchors and proposals live in the resized
frame, the truths and detections of a user in the original frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from faster_rcnn.choices import ResizeMethod, SizeRounding
from faster_rcnn.errors import ImageError
from faster_rcnn.ops.boxes import clip
from faster_rcnn.ops.constants import constant
from faster_rcnn.resizing import averaged_in_bands, interpolated, sampled
from faster_rcnn.structures import Detections, GroundTruth, ImageBatch, ImageSize, Proposals, largest_of

LARGE = 2**24
"""Pixels (4096 x 4096) above which an image is resized without a second copy of its pixels, be it of floats or bytes.

Of an image of 20,000 x 20,000 one copy of floats is 4.8 GB, and the usual way of ``plain`` makes three.
"""


def size_of(pixels: Tensor) -> ImageSize:
    """Height and width of an image (..., H, W)."""
    return ImageSize(pixels.shape[-2], pixels.shape[-1])


def target_size(size: ImageSize, short_side: float, long_side: float, rounding: SizeRounding) -> ImageSize:
    """Size after resizing: the short side as given, unless the long side would exceed its limit; at least 1 pixel.

    Sides are rounded down, as torchvision does, or to the nearest, as Detectron2 does, each in the order of operations
    of its model, so that imported models resize to exactly the same sizes.

    >>> target_size(ImageSize(480, 640), 800, 1333, "down"), target_size(ImageSize(480, 640), 800, 1333, "nearest")
    (ImageSize(height=800, width=1066), ImageSize(height=800, width=1067))
    """
    if rounding == "down":
        factor = min(short_side / min(size), long_side / max(size))
        height, width = (math.floor(side * factor) for side in size)
    else:
        enlarged = [short_side if side == min(size) else short_side / min(size) * side for side in size]
        factor = min(1.0, long_side / max(enlarged))
        height, width = (math.floor(side * factor + 0.5) for side in enlarged)
    return ImageSize(max(1, height), max(1, width))


def vanishes(size: ImageSize, short_side: float, long_side: float) -> bool:
    """Whether an image is so long that resizing leaves less than half a pixel of its short side.

    >>> vanishes(ImageSize(1, 1280), 416, 640), vanishes(ImageSize(1, 1281), 416, 640)
    (False, True)
    """
    return min(size) * min(short_side / min(size), long_side / max(size)) < 0.5


def refuse_vanishing(name: str, size: ImageSize, short_side: float, long_side: float) -> None:
    """Raise ``ImageError`` (E120) for an image that ``vanishes``; ``name`` is its name in the message."""
    if vanishes(size, short_side, long_side):
        raise ImageError(
            f"{name}: of {size.width}x{size.height} pixels less than half a pixel of the short side is left, where the "
            f"long side may have {long_side:g}; cut it into parts",
            code="E120",
        )


def resize(
    pixels: UInt8[Tensor, "3 height width"] | Float[Tensor, "3 height width"],
    short_side: float,
    long_side: float,
    method: ResizeMethod,
    rounding: SizeRounding,
) -> Tensor:
    """Resize one image, keeping its shape.

    ``antialias`` keeps the type of the image (uint8 stays uint8, which is fast) and averages when it shrinks an image;
    ``plain`` gives float32 in 0..1 by bilinear sampling without antialiasing, with which torchvision's models were
    trained. Beside the result, a large uint8 image takes memory for some of its rows only, in both ways.
    """
    target = target_size(size_of(pixels), short_side, long_side, rounding)
    if is_large(pixels) and pixels.dtype == torch.uint8:
        return averaged_in_bands(pixels, target) if method == "antialias" else sampled(pixels, target)
    if method == "plain" and pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    if target == size_of(pixels):
        return pixels
    return interpolated(pixels, target, antialias=method == "antialias")


def is_large(pixels: Tensor) -> bool:
    """Whether an image (..., H, W) has more than ``LARGE`` pixels."""
    return pixels.shape[-2] * pixels.shape[-1] > LARGE


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Float[Tensor, "3 height width"]:
    """Subtract the mean and divide by the spread of each channel of an RGB image, uint8 or float in 0..1.

    The result keeps the memory format of the image.
    """
    shares = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
    shift, spread = (constant(each, pixels.device) for each in (mean, std))
    if not pixels.permute(1, 2, 0).is_contiguous():
        return (shares - shift[:, None, None]) / spread[:, None, None]
    # Channels-last: whole rows with the three numbers repeated, so that many numbers are computed at a time.
    rows, columns = shares.permute(1, 2, 0).flatten(start_dim=1), pixels.shape[2]
    normalised = (rows - shift.repeat(columns)) / spread.repeat(columns)
    return normalised.reshape(len(rows), columns, 3).permute(2, 0, 1)


def pad_to_batch(
    images: Sequence[Float[Tensor, "3 _ _"]],
    multiple: int,
    memory_format: torch.memory_format = torch.contiguous_format,
    canvas: ImageSize | None = None,
) -> ImageBatch:
    """Copy normalized images of any sizes into one tensor of zeros, whose sides are multiples of ``multiple``.

    It holds the largest image and, where given, a ``canvas``.
    """
    sizes = tuple(size_of(image) for image in images)
    largest = largest_of(sizes if canvas is None else (*sizes, canvas))
    shape = len(images), 3, *padded(largest, multiple)
    pixels = torch.empty(shape, dtype=images[0].dtype, device=images[0].device, memory_format=memory_format).zero_()
    for index, (image, size) in enumerate(zip(images, sizes, strict=True)):
        pixels[index, :, : size.height, : size.width] = image
    return ImageBatch(pixels, sizes)


def rescale_boxes(boxes: Float[Tensor, "boxes 4"], size: ImageSize, to: ImageSize) -> Float[Tensor, "boxes 4"]:
    """Boxes from the frame of an image of one size to that of the same image at another size."""
    x, y = to.width / size.width, to.height / size.height
    return boxes * constant([x, y, x, y], boxes.device, boxes.dtype)


def rescale_truth(truth: GroundTruth, before: ImageSize, after: ImageSize) -> GroundTruth:
    """A truth in the frame of an image of another size."""
    return GroundTruth(rescale_boxes(truth.boxes, before, after), truth.labels, truth.ignored)


def rescale_proposals(proposals: Proposals, size: ImageSize, to: ImageSize) -> Proposals:
    """Proposals in the frame of the same image at another size, clipped so that no rounding error crosses the border.

    Scores stay.
    """
    return replace(proposals, boxes=clip(rescale_boxes(proposals.boxes, size, to), to))


def rescale_detections(detections: Detections, size: ImageSize, to: ImageSize) -> Detections:
    """Detections in the frame of the same image at another size; scores and labels stay."""
    return replace(detections, boxes=rescale_boxes(detections.boxes, size, to))


def padded(size: ImageSize, multiple: int) -> ImageSize:
    """The size whose sides are the next multiples.

    >>> padded(ImageSize(416, 555), 32)
    ImageSize(height=416, width=576)
    """
    return ImageSize(-(-size.height // multiple) * multiple, -(-size.width // multiple) * multiple)
