"""Maps of numbers in colours, over a faded image or by themselves."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from torch import Tensor

from faster_rcnn.explanation.plots.figure import FAINT, LETTERS, write
from faster_rcnn.explanation.plots.view import View
from faster_rcnn.explanation.record.recording import PartRecording
from faster_rcnn.reporting.drawing.colours import Colour

STOPS = (0x440154, 0x482878, 0x3E4A89, 0x31688E, 0x26838F, 0x1F9D8A, 0x6CCE5A, 0xB6DE2B, 0xFEE825)
"""Matplotlib's viridis (public domain) at nine places from 0 to 1: it grows lighter, for any colour vision."""
STRENGTH = 0.72
"""The share of the map in its mixture with the image."""


def colour_at(value: float) -> Colour:
    """The colour of a number in 0..1; numbers outside have that of the nearer end."""
    red, green, blue = _colours(torch.tensor([value]))[0].tolist()
    return red, green, blue


def heat_map(values: Float[Tensor, "rows columns"], size: tuple[int, int]) -> Image.Image:
    """Numbers in 0..1 as cells of colour, on a picture of a width and a height in pixels."""
    cells = Image.fromarray(_colours(values).numpy())
    return cells.resize(size, Image.Resampling.NEAREST)


def draw_heat(view: View, part: PartRecording, values: Float[Tensor, "rows columns"]) -> None:
    """Colour the cells of a map over the padded part of the image; the padding itself is not coloured.

    ``values`` are in 0..1, one for each feature of a level.
    """
    padded = part.images.pixels.shape[-2:]
    across, down = part.size.width / part.resized.width, part.size.height / part.resized.height
    size = round(padded[1] * across * view.scale), round(padded[0] * down * view.scale)
    cells = heat_map(values, (max(1, size[0]), max(1, size[1])))
    left, top = (round(each) for each in view.point(part.place.x1, part.place.y1))
    right, bottom = (round(each) for each in view.point(part.place.x2, part.place.y2))
    box = (left, top, max(right, left + 1), max(bottom, top + 1))
    below = view.picture.crop(box)
    view.picture.paste(Image.blend(below, cells.crop((0, 0, *below.size)), STRENGTH), box[:2])


def stretched(values: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Numbers moved to 0..1 by their lowest and highest, but for the outermost hundredths; 0 where all are equal."""
    flat = values.float().flatten()
    low, high = (torch.quantile(_thinned(flat), share) for share in (0.01, 0.99))
    return ((values.float() - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)


def colour_bar(width: int, low: str, high: str) -> Image.Image:
    """The colours from 0 to 1 as a bar between two texts."""
    picture = Image.new("RGB", (width, LETTERS + 9), (255, 255, 255))
    canvas = ImageDraw.Draw(picture)
    left = round(canvas.textlength(low, font_size=LETTERS)) + 12
    right = width - round(canvas.textlength(high, font_size=LETTERS)) - 12
    bar = heat_map(torch.linspace(0, 1, 200)[None], (max(1, right - left), LETTERS + 3))
    picture.paste(bar, (left, 2))
    write(canvas, (0, picture.height / 2), low, FAINT)
    write(canvas, (right + 12, picture.height / 2), high, FAINT)
    return picture


def _colours(values: Tensor) -> Tensor:
    """Colours (..., 3) as bytes of numbers in 0..1, interpolated between ``STOPS``."""
    stops = np.array([list(stop.to_bytes(3)) for stop in STOPS], dtype=np.float64)  # (stops, 3)
    places = values.double().clamp(0, 1).cpu().numpy() * (len(stops) - 1)
    channels = [np.interp(places, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return torch.from_numpy(np.stack(channels, axis=-1).round().astype(np.uint8))


def _thinned(values: Tensor) -> Tensor:
    """At most about a million of the numbers, evenly taken, as ``torch.quantile`` takes no more than 16 million."""
    return values[:: max(1, len(values) // 2**20)]
