"""What a test finds on a picture."""

from __future__ import annotations

import numpy as np
from PIL import Image

from faster_rcnn.explanation.plots.figure import GAP, LINE
from faster_rcnn.reporting.drawing.colours import Colour


def pixels_of(picture: Image.Image, colour: Colour, box: tuple[int, int, int, int] | None = None) -> int:
    """The number of pixels of exactly one colour, in the whole picture or in (left, top, right, bottom)."""
    found = np.asarray(picture if box is None else picture.crop(box)) == np.array(colour)
    return int(found.all(axis=-1).sum())


def differ(a: Image.Image, b: Image.Image) -> bool:
    """Whether two pictures have different sizes or pixels."""
    return a.size != b.size or a.tobytes() != b.tobytes()


def first_panel(picture: Image.Image, size: tuple[int, int], lines: int = 1) -> Image.Image:
    """The picture of a figure's first panel, of a width and a height, under a title of some lines."""
    top = GAP + lines * LINE
    return picture.crop((GAP, top, GAP + size[0], top + size[1]))
