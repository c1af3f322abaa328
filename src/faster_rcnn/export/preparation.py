"""The preparation of images as a part of an exported graph: resizing, normalisation and padding, for one image size."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import pad

from faster_rcnn.export.resizing import antialiasing_weights, averaged, plain_weights
from faster_rcnn.images import padded, target_size
from faster_rcnn.preparation import Preparation
from faster_rcnn.structures import ImageSize


class FixedPreparation(nn.Module):
    """Prepares uint8 images of one size as ``Preparation.groups`` does."""

    mean: Tensor
    std: Tensor
    limits: Tensor
    factors: Tensor
    columns: Tensor
    rows: Tensor

    def __init__(self, rule: Preparation, size: ImageSize) -> None:
        super().__init__()
        image = rule.image
        target = target_size(size, image.short_side, image.long_side, image.size_rounding)
        canvas = padded(target, rule.multiple)
        self.is_plain = image.resize == "plain"
        self.resizes = target != size
        self.margins = (0, canvas.width - target.width, 0, canvas.height - target.height)
        self.bits = (0, 0)
        self._keep("mean", torch.tensor(image.mean)[:, None, None])
        self._keep("std", torch.tensor(image.std)[:, None, None])
        self._keep("limits", torch.tensor([[target.width, target.height] * 2], dtype=torch.float32))
        self._keep("factors", torch.tensor([size.width / target.width, size.height / target.height] * 2))
        if self.is_plain:
            self._keep("columns", plain_weights(size.width, target.width))
            self._keep("rows", plain_weights(size.height, target.height))
        else:
            columns, rows = (antialiasing_weights(*each) for each in zip(size[::-1], target[::-1], strict=True))
            self.bits = columns.bits, rows.bits
            self._keep("columns", columns.matrix)
            self._keep("rows", rows.matrix)

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def forward(self, images: UInt8[Tensor, "images 3 height width"]) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels for the backbone, the limits of boxes in them, and the factors from their frame to the images'."""
        pixels = images.float()
        # Plain resizing is that of normalized pixels, as in torchvision.
        plain = self.is_plain
        ready = self._resized(self._normalised(pixels)) if plain else self._normalised(self._averaged(pixels))
        return pad(ready, self.margins), self.limits, self.factors

    def _normalised(self, pixels: Tensor) -> Float[Tensor, "images 3 _ _"]:
        return (pixels / 255 - self.mean) / self.std

    def _resized(self, pixels: Tensor) -> Tensor:
        if not self.resizes:
            return pixels
        return ((pixels @ self.columns).transpose(-1, -2) @ self.rows).transpose(-1, -2)

    def _averaged(self, pixels: Tensor) -> Tensor:
        if not self.resizes:
            return pixels
        narrow = averaged(pixels, self.columns, self.bits[0])  # torch, too, makes rows narrower first
        return averaged(narrow.transpose(-1, -2), self.rows, self.bits[1]).transpose(-1, -2)
