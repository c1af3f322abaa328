"""Random changes of a training image: pure functions of their numbers, or of a generator they are given.

Truth follows the pixels: a flipped image has flipped boxes. Pixels are RGB, 8-bit or float in 0..1, and stay what
they are.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from faster_rcnn.structures import GroundTruth

Pixels = UInt8[Tensor, "3 height width"] | Float[Tensor, "3 height width"]

# Luma and two colour axes (YIQ, the NTSC primaries): hue is an angle in the plane of the last two.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_MAX_CHANGE = 0.5
"""Brightness, contrast and saturation are multiplied by at most 1 ± this, at strength 1 (SSD, 1512.02325)."""
_MAX_TURN = math.radians(18)
"""Hue is turned by at most this angle, at strength 1 (SSD)."""


def draw(generator: Generator, low: float = 0.0, high: float = 1.0) -> float:
    """A random number, evenly spread over low..high."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def jitter_scale(generator: Generator, low: float, high: float) -> float:
    """A random factor in low..high, as likely to enlarge twofold as to shrink to half."""
    return math.exp(draw(generator, math.log(low), math.log(high)))


def flip(pixels: Pixels, truth: GroundTruth) -> tuple[Pixels, GroundTruth]:
    """Mirror left and right: x becomes width - x, and the left edge of a box its right one."""
    x1, y1, x2, y2 = truth.boxes.unbind(1)
    width = pixels.shape[-1]
    return pixels.flip(-1), GroundTruth(torch.stack([width - x2, y1, width - x1, y2], 1), truth.labels, truth.ignored)


def photometric(pixels: Pixels, strength: float, generator: Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue at random; ``strength`` 0 changes nothing, 1 is the most.

    All four are linear in colour, so they are one 3x3 matrix and a shift, and the image is gone over once.
    """
    spread = _MAX_CHANGE * strength
    brightness, contrast, saturation = (draw(generator, 1 - spread, 1 + spread) for _ in range(3))
    turn = draw(generator, -_MAX_TURN * strength, _MAX_TURN * strength)
    if strength == 0:
        return pixels
    colours = pixels.flatten(1).float()
    mean_luma = _YIQ[0] @ colours.mean(1)
    matrix = colour_matrix(brightness * contrast, saturation, turn)
    shift = brightness * (1 - contrast) * mean_luma
    changed = torch.addmm(shift.expand(3, 1), matrix, colours)
    if pixels.dtype == torch.uint8:
        return changed.round_().clamp_(0, 255).to(torch.uint8).view_as(pixels)
    return changed.clamp_(0, 1).view_as(pixels)


def colour_matrix(gain: float, saturation: float, turn: float) -> Float[Tensor, "3 3"]:
    """Matrix on RGB columns that multiplies all light by ``gain``, colour by ``saturation`` and turns hue (radians)."""
    cosine, sine = saturation * math.cos(turn), saturation * math.sin(turn)
    inner = torch.tensor([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    turned: Tensor = torch.linalg.solve(_YIQ, inner @ _YIQ)
    return gain * turned
