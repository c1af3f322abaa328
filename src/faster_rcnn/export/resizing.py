"""Resizing inside an exported graph: two matrix products, to the bits of torch's own resizing of uint8 images.

Resize operators differ between runtimes: in rounding, in the handling of borders and in antialiasing, which some lack.
A product with a constant matrix of weights is the same everywhere. Antialiased resizing of uint8 in torch rounds its
weights to integers of 15 bits and the pixels between its two passes to uint8. A rounding error here would change one
pixel in fifty by 1, and the scores of a detector by more than an export may.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.resizing import around

MAX_WEIGHT = 2**15
"""Weights of antialiased resizing are integers below this number, as in torch."""
MAX_BITS = 22
"""Maximum of bits after the binary point of a weight, as in torch."""
EXACT_BITS = 16
"""Bits of weights up to which sums of 255 times all weights of a pixel are exact in float32."""
LOW = 2**7
"""Weights of more bits are split into a multiple of this number and a rest, and both sums are exact."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """The weight of each pixel of a side for each pixel of the resized side, times 2^``bits``."""

    matrix: Float[Tensor, "side target"]
    bits: int


def antialiasing_weights(side: int, target: int) -> Weights:
    """Integer weights of antialiased resizing: a triangle around each centre, as wide as a target pixel.

    >>> antialiasing_weights(4, 2).matrix.T
    tensor([[28087., 28087.,  9362.,     0.],
            [    0.,  9362., 28087., 28087.]])
    """
    scale = side / target
    width = max(scale, 1.0)
    places = torch.arange(target, dtype=torch.float64, device="cpu")
    centres = scale * (places + 0.5)  # (target,)
    first = (centres - width + 0.5).long().clamp(min=0)  # (target,)
    end = (centres + width + 0.5).long().clamp(max=side)  # (target,)
    pixels = torch.arange(side, device="cpu")[:, None]  # (side, 1)
    shares = (1 - ((pixels - centres + 0.5) * (1 / width)).abs()).clamp(min=0)  # (side, target)
    shares = shares.where((pixels >= first) & (pixels < end), 0)
    shares = shares / shares.sum(dim=0)
    bits = bits_of(float(shares.max()))
    return Weights((shares * 2**bits + 0.5).floor().float(), bits)


def bits_of(largest: float) -> int:
    """Bits after the binary point with which the ``largest`` weight stays below ``MAX_WEIGHT``.

    >>> bits_of(1.0), bits_of(0.5), bits_of(0.1)
    (14, 15, 18)
    """
    bits = 0
    while bits < MAX_BITS and math.floor(0.5 + largest * 2 ** (bits + 1)) < MAX_WEIGHT:
        bits += 1
    return bits


def plain_weights(side: int, target: int) -> Float[Tensor, "side target"]:
    """Weights of bilinear sampling: the two pixels beside each centre."""
    pixels, share = around(side, target, torch.device("cpu"))  # (target, 2), (target,)
    matrix = torch.zeros(side, target, device="cpu")
    columns = torch.arange(target, device="cpu")
    matrix.index_put_((pixels[:, 0], columns), 1 - share, accumulate=True)
    matrix.index_put_((pixels[:, 1], columns), share, accumulate=True)
    return matrix


def averaged(pixels: Float[Tensor, "*any side"], matrix: Tensor, bits: int) -> Float[Tensor, "*any target"]:
    """Products of integers 0..255 with integer weights, rounded to integers 0..255 again."""
    half = 2.0 ** (bits - 1)
    if bits <= EXACT_BITS:
        return ((pixels @ matrix + half) / 2.0**bits).floor().clamp(0, 255)
    return averaged_in_parts(pixels, matrix, 2.0**bits)


def averaged_in_parts(
    pixels: Float[Tensor, "*any side"], matrix: Tensor, unit: float | Tensor
) -> Float[Tensor, "*any target"]:
    """Do what ``averaged`` does for weights of any number of bits; ``unit`` is the power of two that stands for 1.

    Sums beyond 2^24 are not exact in float32; those of the high and of the low bits of the weights are.
    """
    high = (matrix / LOW).floor()
    of_high, of_low = pixels @ high, pixels @ (matrix - high * LOW)
    step = unit / LOW  # a sum of high bits in units of the result
    whole = (of_high / step).floor()
    rest = (of_high - whole * step) * LOW + of_low + unit / 2
    return (whole + (rest / unit).floor()).clamp(0, 255)
