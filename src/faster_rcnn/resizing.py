"""The three ways to resize an image: at once, in bands of rows, and by sampling; the last two save memory.

``images.resize`` chooses. A large image is one whose copy in floats would not fit beside it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from faster_rcnn.ops.constants import constant
from faster_rcnn.structures import ImageSize

BAND = 2**22
"""Pixels of a band of a large image, or of one row where a row has more."""


def interpolated(pixels: Tensor, target: ImageSize, antialias: bool) -> Tensor:
    """Resize an image (3, H, W) at once, uint8 or float, bilinearly."""
    # torch resizes channels-last bytes, which decoded JPEGs are, in a third of the time and to the same bits, if the
    # strides of the batch show that memory format, too. The bits of floats would differ from torchvision's.
    integers = not pixels.is_floating_point()
    batch = pixels.permute(1, 2, 0)[None].permute(0, 3, 1, 2) if integers else pixels[None]
    return interpolate(batch, size=tuple(target), mode="bilinear", align_corners=False, antialias=antialias)[0]


def averaged_in_bands(pixels: UInt8[Tensor, "3 height width"], target: ImageSize) -> UInt8[Tensor, "3 _ _"]:
    """Resize with antialiasing, a band of rows at a time, to the bits of ``interpolated``.

    torch, too, makes rows narrower first, rounds to uint8, and then makes columns lower. Of a contiguous (C, H, W)
    image torch makes a copy of four bytes per pixel, here of a band only.
    """
    rows = max(1, BAND // pixels.shape[2])
    bands = (interpolated(band, ImageSize(band.shape[1], target.width), True) for band in pixels.split(rows, dim=1))
    return interpolated(torch.cat(list(bands), dim=1), target, antialias=True)


def sampled(pixels: UInt8[Tensor, "3 height width"], target: ImageSize) -> Float[Tensor, "3 _ _"]:
    """Sample bilinearly in 0..1, reading only the four pixels around each sampling point.

    The result differs from torch's by the rounding of float32, some 1e-7.
    """
    rows, down = around(pixels.shape[1], target.height, pixels.device)  # (H, 2), (H,)
    columns, across = around(pixels.shape[2], target.width, pixels.device)  # (W, 2), (W,)
    corners = pixels[:, rows.flatten()[:, None], columns.flatten()].float() / 255  # (3, 2 * H, 2 * W)
    left, right = corners.unflatten(2, (target.width, 2)).unbind(3)  # (3, 2 * H, W) both
    upper, lower = (left * (1 - across) + right * across).unflatten(1, (target.height, 2)).unbind(2)  # (3, H, W) both
    result: Tensor = upper * (1 - down)[:, None] + lower * down[:, None]
    return result


def around(side: int, target: int, device: torch.device) -> tuple[Int[Tensor, "_ 2"], Float[Tensor, " _"]]:
    """The two source pixels beside the centre of each target pixel, and the weight of the second one, 0..1.

    Centres are at halves; beyond the outermost centres the border's own pixel stands for both.
    """
    # As in torch, the factor is rounded to float32 and the rest is exact: else weights would differ by 1e-4.
    factor = constant(side / target, device, torch.float32).double()
    places = torch.arange(target, dtype=torch.float64, device=device)  # (target,)
    centre = ((places + 0.5) * factor - 0.5).float().clamp(0, side - 1)  # (target,)
    first = centre.floor().long()
    return torch.stack((first, (first + 1).clamp(max=side - 1)), dim=1), centre - first
