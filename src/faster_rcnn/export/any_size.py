"""The preparation of images of any size as a graph of its own: everything that depends on the size is computed in it.

``FixedPreparation`` computes the same in Python when a file is made. Here sizes are tensors: the resized size, the
weights of both matrix products (see ``resizing``), and which pixels are padding. Numbers are float64 where Python's
are, so that sizes and weights are those of ``images.target_size`` and torch. The graph needs a runtime that computes in
float64, which OpenVINO does not.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from faster_rcnn.export.resizing import MAX_BITS, MAX_WEIGHT, averaged_in_parts
from faster_rcnn.preparation import Preparation
from faster_rcnn.settings.schema import ImageConfig


class AnySizePreparation(nn.Module):
    """Prepares uint8 images of any size as ``Preparation.groups`` does."""

    mean: Tensor
    std: Tensor

    def __init__(self, rule: Preparation) -> None:
        super().__init__()
        self.image = rule.image
        self.multiple = rule.multiple
        self.register_buffer("mean", torch.tensor(rule.image.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(rule.image.std)[:, None, None], persistent=False)

    def forward(self, images: UInt8[Tensor, "images 3 height width"]) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels for the backbone, the limits of boxes in them, and the factors from their frame to the images'."""
        sides = [torch.full((), side, dtype=torch.float64) for side in images.shape[-2:]]  # height, width
        targets = _targets(sides, self.image)
        matrices = [self._matrix(*each) for each in zip(sides, targets, images.shape[-2:], strict=True)]
        pixels = images.float()
        if self.image.resize == "plain":  # normalized first, as torchvision does
            pixels = _across(_across((pixels / 255 - self.mean) / self.std, matrices[1]), matrices[0])
        else:
            shares = _across(_across(pixels, matrices[1], averages=True), matrices[0], averages=True)
            pixels = (shares / 255 - self.mean) / self.std
            inside = [_places(matrix.shape[1]) < target for matrix, target in zip(matrices, targets, strict=True)]
            pixels = pixels * (inside[0][:, None] & inside[1])
        limits = torch.stack((targets[1], targets[0], targets[1], targets[0])).float()[None]
        scales = [side / target for side, target in zip(sides, targets, strict=True)]
        return pixels, limits, torch.stack((scales[1], scales[0], scales[1], scales[0])).float()

    def _matrix(self, side: Tensor, target: Tensor, count: int) -> Float[Tensor, "side padded"]:
        """Weights of the pixels of a side for those of the resized and padded side; padding has none."""
        padded: Any = ((target / self.multiple).ceil() * self.multiple).long().item()
        torch._check(padded >= 1)
        pixels, places = _places(count)[:, None], _places(padded)
        weigh = _plain if self.image.resize == "plain" else _antialiased
        return weigh(pixels, places, side, target).where(places < target, 0.0).float()


def _targets(sides: list[Tensor], image: ImageConfig) -> list[Tensor]:
    """Height and width after resizing, as ``images.target_size`` computes them."""
    shorter, longer = torch.minimum(*sides), torch.maximum(*sides)
    if image.size_rounding == "down":
        factor = torch.minimum(_ratio(image.short_side, shorter), _ratio(image.long_side, longer))
        return [(side * factor).floor().clamp(min=1) for side in sides]
    ratio = _ratio(image.short_side, shorter)
    enlarged = [torch.where(side == shorter, float(image.short_side), ratio * side) for side in sides]
    factor = _ratio(image.long_side, torch.maximum(*enlarged)).clamp(max=1.0)
    return [(side * factor + 0.5).floor().clamp(min=1) for side in enlarged]


def _ratio(length: float, side: Tensor) -> Tensor:
    """The quotient, rounded once, as Python's: torch divides a number by a tensor as its product with a reciprocal."""
    return torch.full_like(side, length) / side


def _places(count: int) -> Float[Tensor, " count"]:
    return torch.arange(count).double()


def _plain(pixels: Tensor, places: Tensor, side: Tensor, target: Tensor) -> Tensor:
    """Weights of bilinear sampling; see ``resizing.plain_weights``."""
    factor = (side / target).float().double()
    centres = ((places + 0.5) * factor - 0.5).float().clamp(min=0).minimum((side - 1).float())
    return (1 - (pixels.float() - centres).abs()).clamp(min=0)


def _antialiased(pixels: Tensor, places: Tensor, side: Tensor, target: Tensor) -> Tensor:
    """Integer weights of antialiased resizing; see ``resizing.antialiasing_weights``."""
    scale = side / target
    width = scale.clamp(min=1.0)
    centres = scale * (places + 0.5)
    first = (centres - width + 0.5).floor().clamp(min=0)
    end = torch.minimum((centres + width + 0.5).floor(), side)
    shares = (1 - ((pixels - centres + 0.5) * (1 / width)).abs()).clamp(min=0)
    shares = shares.where((pixels >= first) & (pixels < end) & (places < target), 0.0)
    shares = shares / shares.sum(dim=0).clamp(min=1e-9)
    return (shares * _unit(shares) + 0.5).floor()


def _unit(shares: Tensor) -> Tensor:
    """The power of two that stands for 1; see ``resizing.bits_of``."""
    bits = (torch.log2((MAX_WEIGHT - 0.5) / shares.max()).ceil() - 1).clamp(max=MAX_BITS)
    return torch.exp2(bits)


def _across(pixels: Tensor, matrix: Tensor, *, averages: bool = False) -> Tensor:
    """One pass along the last side, which becomes the one before it."""
    product = _averaged(pixels, matrix) if averages else pixels @ matrix
    return product.transpose(-1, -2)


def _averaged(pixels: Tensor, matrix: Tensor) -> Tensor:
    """Do what ``resizing.averaged`` does, for weights whose number of bits is not known before."""
    total = matrix.sum(dim=0).max()
    return averaged_in_parts(pixels, matrix, torch.exp2(torch.log2(total).round()))  # they sum up to it, nearly
