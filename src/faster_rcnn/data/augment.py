"""Random augmentation of a training image: pure functions of numbers, or of a generator that is passed in.

Boxes follow the pixels: a flipped image has flipped truths and proposals. Pixels are RGB, uint8 or float in 0..1, and
keep their type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator, Tensor

from faster_rcnn.ops.boxes import area, clip, sides_at_least
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals

Pixels = UInt8[Tensor, "3 height width"] | Float[Tensor, "3 height width"]

# Luma and two colour axes (YIQ, the NTSC primaries): hue is an angle in the plane of the last two.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_MAX_CHANGE = 0.5
"""Brightness, contrast and saturation are multiplied by at most 1 ± this, at strength 1 (SSD, 1512.02325)."""
VISIBLE = 0.3
"""Share of a truth box that must remain in a cut image; a truth box with less of it left is ignored."""
_MAX_TURN = math.radians(18)
"""Hue is turned by at most this angle, at strength 1 (SSD)."""


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """An image with the boxes that follow its pixels."""

    pixels: Pixels
    truth: GroundTruth
    proposals: Proposals | None = None
    """External proposals, for Fast R-CNN."""


def draw(generator: Generator, low: float = 0.0, high: float = 1.0) -> float:
    """A random number, uniform in low..high."""
    return low + (high - low) * torch.rand((), generator=generator).item()


def jitter_scale(generator: Generator, low: float, high: float) -> float:
    """A random factor in low..high, as likely to enlarge twofold as to shrink to half."""
    return math.exp(draw(generator, math.log(low), math.log(high)))


def flip(image: Labelled) -> Labelled:
    """Mirror left and right: x becomes width - x, and the left edge of a box its right one."""
    width = image.pixels.shape[-1]
    truth, proposals = image.truth, image.proposals
    if proposals is not None:
        proposals = Proposals(_flip_boxes(proposals.boxes, width), proposals.scores)
    mirrored = GroundTruth(_flip_boxes(truth.boxes, width), truth.labels, truth.ignored)
    return Labelled(image.pixels.flip(-1), mirrored, proposals)


def _flip_boxes(boxes: Float[Tensor, "boxes 4"], width: int) -> Float[Tensor, "boxes 4"]:
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([width - x2, y1, width - x1, y2], 1)


def place_on_canvas(image: Labelled, canvas: ImageSize, fill: Sequence[float], generator: Generator) -> Labelled:
    """Put an image at a random place of a canvas: cut where it is larger, surrounded by ``fill`` where smaller.

    ``fill`` is a colour (RGB, 0..1). Every image of a batch then keeps its size for every resize factor, and no step
    costs more than another. Truth boxes with less than the share ``VISIBLE`` left become ignored regions, neither
    required nor penalised; truth boxes and proposals outside of the canvas are removed.
    """
    pixels, truth, proposals = image.pixels, image.truth, image.proposals
    size = ImageSize(pixels.shape[-2], pixels.shape[-1])
    down, right = (round(draw(generator) * (room - side)) for room, side in zip(canvas, size, strict=True))
    scale = 255 if pixels.dtype == torch.uint8 else 1
    colour = (torch.tensor(fill) * scale).to(pixels.dtype)
    placed = colour[:, None, None].expand(3, *canvas).clone()
    rows, source_rows = _shared(down, size.height, canvas.height)
    columns, source_columns = _shared(right, size.width, canvas.width)
    placed[:, rows, columns] = pixels[:, source_rows, source_columns]
    shift = truth.boxes.new_tensor([right, down, right, down])
    inside, kept = _cut(truth.boxes + shift, canvas)
    ignored = truth.ignored | (area(inside) / area(truth.boxes) < VISIBLE)
    if proposals is not None:
        boxes, left = _cut(proposals.boxes + shift, canvas)
        proposals = Proposals(boxes[left], proposals.scores[left])
    return Labelled(placed, GroundTruth(inside[kept], truth.labels[kept], ignored[kept]), proposals)


def _cut(boxes: Float[Tensor, "boxes 4"], canvas: ImageSize) -> tuple[Float[Tensor, "boxes 4"], Bool[Tensor, " boxes"]]:
    """Boxes clipped to the canvas, and a mask of those with at least a pixel left on both sides."""
    inside = clip(boxes, canvas)
    return inside, sides_at_least(inside, 1.0)


def _shared(offset: int, length: int, room: int) -> tuple[slice, slice]:
    """The visible part of ``length`` pixels at ``offset`` in ``room`` pixels, as slices of the room and of itself."""
    begin, end = max(offset, 0), min(offset + length, room)
    return slice(begin, end), slice(begin - offset, end - offset)


def photometric(pixels: Pixels, strength: float, generator: Generator) -> Pixels:
    """Change brightness, contrast, saturation and hue at random; ``strength`` 0 changes nothing, 1 is the maximum.

    All four are linear in colour, so one 3x3 matrix and a shift apply them in a single pass over the image.
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
    """Matrix on RGB columns that scales brightness by ``gain``, chroma by ``saturation``, and turns hue (radians)."""
    cosine, sine = saturation * math.cos(turn), saturation * math.sin(turn)
    inner = torch.tensor([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    turned: Tensor = torch.linalg.solve(_YIQ, inner @ _YIQ)
    return gain * turned
