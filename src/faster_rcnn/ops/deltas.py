"""Deltas that turn a reference box into another box: Eq. 2 of Faster R-CNN, and its inverse.

Deltas are (dx, dy, dw, dh): the shift of the centre in widths and heights of the reference, and the logarithm of the
change of each side. ``weights`` multiply them, so that all four have a similar spread (second stage: 10, 10, 5, 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

MAX_LOG_CHANGE = math.log(1000 / 16)
"""A side grows by at most 62.5 times, a 16-pixel anchor to 1000 pixels: keeps exp() finite (Detectron)."""

UNWEIGHTED = (1.0, 1.0, 1.0, 1.0)


def encode(
    boxes: Float[Tensor, "*any 4"], references: Float[Tensor, "*any 4"], weights: Sequence[float] = UNWEIGHTED
) -> Float[Tensor, "*any 4"]:
    """Deltas that turn each reference into its box; both in the same frame, sides above 0.

    >>> encode(torch.tensor([[5.0, 0.0, 15.0, 20.0]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    tensor([[0.5000, 0.5000, 0.0000, 0.6931]])
    """
    x, y, width, height = _centres_and_sides(boxes.float())
    from_x, from_y, from_width, from_height = _centres_and_sides(references.float())
    deltas = (
        weights[0] * (x - from_x) / from_width,
        weights[1] * (y - from_y) / from_height,
        weights[2] * torch.log(width / from_width),
        weights[3] * torch.log(height / from_height),
    )
    return torch.stack(deltas, dim=-1)


def decode(
    deltas: Float[Tensor, "*any 4"], references: Float[Tensor, "*any 4"], weights: Sequence[float] = UNWEIGHTED
) -> Float[Tensor, "*any 4"]:
    """Boxes that the deltas turn the references into, in the frame of the references, not clipped to the image.

    >>> decode(torch.tensor([[0.5, 0.5, 0.0, math.log(2.0)]]), torch.tensor([[0.0, 0.0, 10.0, 10.0]]))
    tensor([[ 5.,  0., 15., 20.]])
    """
    dx, dy, dw, dh = deltas.float().unbind(-1)
    from_x, from_y, from_width, from_height = _centres_and_sides(references.float())
    x = from_x + dx / weights[0] * from_width
    y = from_y + dy / weights[1] * from_height
    half_width = 0.5 * from_width * torch.exp((dw / weights[2]).clamp(max=MAX_LOG_CHANGE))
    half_height = 0.5 * from_height * torch.exp((dh / weights[3]).clamp(max=MAX_LOG_CHANGE))
    return torch.stack((x - half_width, y - half_height, x + half_width, y + half_height), dim=-1)


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = x2 - x1, y2 - y1
    return x1 + 0.5 * width, y1 + 0.5 * height, width, height
