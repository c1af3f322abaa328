"""The colours of classes, the same in every picture."""

from __future__ import annotations

import colorsys
import math

Colour = tuple[int, int, int]

PALETTE = (
    0xE69F00, 0x56B4E9, 0x009E73, 0xF0E442, 0xD55E00, 0xCC79A7, 0x0072B2, 0xAA4499, 0x33E0D0, 0x1B5E20,
    0xF7C6A3, 0x882255, 0xFF2E93, 0x332288, 0x999933, 0xFF8A80, 0xB39DDB, 0xC8C8C8, 0x7A4B2A, 0xA6FF4D,
)  # fmt: skip
"""Seven colours that people with any colour vision can distinguish (Okabe and Ito, 2008), then others far from them."""

MIDDLE = 120
"""The luma, of 0..255, above which a colour counts as light."""


def colour_of(label: int) -> Colour:
    """The colour of a class: fixed for the first twenty, then hues a golden section apart."""
    if label < len(PALETTE):
        red, green, blue = PALETTE[label].to_bytes(3)
        return red, green, blue
    turn = (label * (math.sqrt(5) - 1) / 2) % 1.0
    strength = (1.0, 0.75, 0.55)[label % 3]
    red_, green_, blue_ = colorsys.hsv_to_rgb(turn, strength, 0.95)
    return round(red_ * 255), round(green_ * 255), round(blue_ * 255)


def hex_of(colour: Colour) -> str:
    """A colour as pages write it.

    >>> hex_of((230, 159, 0))
    '#e69f00'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


def is_light(colour: Colour) -> bool:
    """Whether black text can be read on a colour better than white text."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > MIDDLE
