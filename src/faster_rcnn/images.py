"""From decoded images to what the backbone reads, and back to original pixels.

Frames: an *original* image is upright, in its own pixels; a *resized* image has the short side of the settings;
a batch holds resized images, padded with zeros at the right and bottom. Anchors and proposals live in the resized
frame, truths and detections that a user sees in the original one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from faster_rcnn.errors import ImageError
from faster_rcnn.ops.boxes import clip
from faster_rcnn.structures import Detections, GroundTruth, ImageBatch, ImageSize, Proposals

ResizeMethod = Literal["antialias", "plain"]
SizeRounding = Literal["down", "nearest"]

LARGE = 2**24
"""Pixels (4096 x 4096) above which an image is resized without a second copy of its pixels, be it of floats or bytes.

Of an image of 20,000 x 20,000 one copy of floats is 4.8 GB, and the usual way of ``plain`` makes three.
"""
BAND = 2**22
"""Pixels of a band of a large image, or of one row where that has more."""


def size_of(pixels: Tensor) -> ImageSize:
    """Height and width of an image (..., H, W)."""
    return ImageSize(pixels.shape[-2], pixels.shape[-1])


def target_size(size: ImageSize, short_side: float, long_side: float, rounding: SizeRounding) -> ImageSize:
    """Size after resizing: the short side as asked, unless the long one would exceed its limit; at least 1 pixel.

    Sides are rounded down, as torchvision does, or to the nearest, as Detectron2 does, each in the order of operations
    of its model, so that imported ones see images of the very same size.

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
    """Raise ``ImageError`` (E120) for an image that ``vanishes``; ``name`` is what the message calls it."""
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

    ``antialias`` keeps the type of the image (8-bit stays 8-bit: fast) and averages when shrinking; ``plain`` gives
    float32 in 0..1 by bilinear sampling without antialiasing, which is what torchvision's models were trained with.
    Beside the result, a large image of 8 bits takes memory for some of its rows only, in both ways.
    """
    target = target_size(size_of(pixels), short_side, long_side, rounding)
    if is_large(pixels) and pixels.dtype == torch.uint8:
        return _averaged_in_bands(pixels, target) if method == "antialias" else _sampled(pixels, target)
    if method == "plain" and pixels.dtype == torch.uint8:
        pixels = pixels.float() / 255
    if target == size_of(pixels):
        return pixels
    return _interpolated(pixels, target, antialias=method == "antialias")


def is_large(pixels: Tensor) -> bool:
    """Whether an image (..., H, W) has more than ``LARGE`` pixels."""
    return pixels.shape[-2] * pixels.shape[-1] > LARGE


def _interpolated(pixels: Tensor, target: ImageSize, antialias: bool) -> Tensor:
    # What lies channels last, as decoded JPEGs do, has to say so with the strides of a batch, too: torch resizes its
    # bytes in a third of the time then, to the same bits. Those of floats would be others than torchvision's.
    whole = pixels.dtype == torch.uint8
    batch = pixels.permute(1, 2, 0)[None].permute(0, 3, 1, 2) if whole else pixels[None]
    return interpolate(batch, size=tuple(target), mode="bilinear", align_corners=False, antialias=antialias)[0]


def _averaged_in_bands(pixels: UInt8[Tensor, "3 height width"], target: ImageSize) -> UInt8[Tensor, "3 _ _"]:
    """The same bits as at once: torch, too, makes rows narrower first, rounds to 8 bits, and then makes columns lower.

    Of an image that is stored channel by channel torch makes a copy of four bytes a pixel, here of a band.
    """
    rows = max(1, BAND // pixels.shape[2])
    bands = (_interpolated(band, ImageSize(band.shape[1], target.width), True) for band in pixels.split(rows, dim=1))
    return _interpolated(torch.cat(list(bands), dim=1), target, antialias=True)


def _sampled(pixels: UInt8[Tensor, "3 height width"], target: ImageSize) -> Float[Tensor, "3 _ _"]:
    """Bilinear sampling in 0..1 that takes no more of an image than the four pixels around each of its points.

    From torch's own it differs by the rounding of float32, some 1e-7.
    """
    rows, down = _around(pixels.shape[1], target.height, pixels.device)
    columns, across = _around(pixels.shape[2], target.width, pixels.device)
    corners = pixels[:, rows.flatten()[:, None], columns.flatten()].float() / 255
    left, right = corners.unflatten(2, (target.width, 2)).unbind(3)
    upper, lower = (left * (1 - across) + right * across).unflatten(1, (target.height, 2)).unbind(2)
    result: Tensor = upper * (1 - down)[:, None] + lower * down[:, None]
    return result


def _around(side: int, target: int, device: torch.device) -> tuple[Int[Tensor, "_ 2"], Float[Tensor, " _"]]:
    """For each pixel of the target: the two pixels beside its centre, and how near to the second one it is, 0..1.

    Centres are at halves; beyond the outermost ones the border's own pixel stands for both.
    """
    # The factor is rounded to float32 and the rest is exact, as by torch: else weights would differ by 1e-4.
    factor = torch.tensor(side / target, dtype=torch.float32, device=device).double()
    places = torch.arange(target, dtype=torch.float64, device=device)
    centre = ((places + 0.5) * factor - 0.5).float().clamp(0, side - 1)
    first = centre.floor().long()
    return torch.stack((first, (first + 1).clamp(max=side - 1)), dim=1), centre - first


def normalise(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> Float[Tensor, "3 height width"]:
    """RGB of 8 bits, or float in 0..1, to roughly zero mean and unit spread per channel."""
    shares = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels.float()
    shift, spread = (torch.tensor(each, device=pixels.device) for each in (mean, std))
    if not _lies_channels_last(pixels):
        return (shares - shift[:, None, None]) / spread[:, None, None]
    # By whole rows, with the three numbers again and again: many at a time.
    rows, columns = shares.permute(1, 2, 0).flatten(start_dim=1), pixels.shape[2]
    normalised = (rows - shift.repeat(columns)) / spread.repeat(columns)
    return normalised.reshape(len(rows), columns, 3).permute(2, 0, 1)


def _lies_channels_last(pixels: Tensor) -> bool:
    return pixels.permute(1, 2, 0).is_contiguous()


def pad_to_batch(
    images: Sequence[Float[Tensor, "3 _ _"]],
    multiple: int,
    memory_format: torch.memory_format = torch.contiguous_format,
) -> ImageBatch:
    """Normalised images of any sizes, in one tensor whose sides are multiples of the largest stride."""
    sizes = tuple(size_of(image) for image in images)
    largest = ImageSize(max(size.height for size in sizes), max(size.width for size in sizes))
    shape = len(images), 3, *padded(largest, multiple)
    pixels = torch.empty(shape, dtype=images[0].dtype, device=images[0].device, memory_format=memory_format).zero_()
    for index, (image, size) in enumerate(zip(images, sizes, strict=True)):
        pixels[index, :, : size.height, : size.width] = image
    return ImageBatch(pixels, sizes)


def rescale_boxes(boxes: Float[Tensor, "boxes 4"], size: ImageSize, to: ImageSize) -> Float[Tensor, "boxes 4"]:
    """Boxes from the frame of an image of one size to that of the same image at another size."""
    x, y = to.width / size.width, to.height / size.height
    return boxes * boxes.new_tensor([x, y, x, y])


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
