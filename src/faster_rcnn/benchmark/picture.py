"""A made-up picture, for timing without images: smooth random colours of the model's own size."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch.nn.functional import interpolate

from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ImageSize

FILE_NAME = "made-up.jpg"
CELL = 48
"""Pixels from one random colour to the next."""


def own_size(config: Config) -> ImageSize:
    """Size of a picture of 4 to 3 that needs no resizing, or nearly none where the long side's limit is below that."""
    short = config.image.short_side
    return ImageSize(short, max(short, min(config.image.long_side, round(short * 4 / 3))))


def made_up_picture(path: Path, size: ImageSize) -> Path:
    """Write smooth random colours as a JPEG file, the same ones for the same size; returns ``path``."""
    generator = torch.Generator().manual_seed(0)
    cells = [-(-side // CELL) + 1 for side in size]
    colours = torch.rand(1, 3, *cells, generator=generator)
    smooth = interpolate(colours, size=tuple(size), mode="bicubic", align_corners=True)[0]
    pixels = (smooth.clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    Image.fromarray(pixels.numpy()).save(path, quality=90)
    return path
