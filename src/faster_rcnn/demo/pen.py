"""Draws handwritten digits of 8x8 pixels at any size, as if by pen, in an ink with enough contrast.

scikit-learn's digits count the black pixels in 4x4 blocks of a scanned bitmap (0..16). Enlarging such counts gives
blurred squares. So ``strokes`` computes a smooth surface whose level line, taken as the outline of the ink, gives the
same counts; ``draw`` cuts that surface at any size and angle, with clean edges.
"""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

CELL = 6
"""Samples of the surface along each side of an original pixel."""
OUTLINE = 0.5
"""Level of the surface above which there is ink."""
_SMOOTHNESS = 0.7
"""Standard deviation, in original pixels, of the bumps that make up the surface: less is lumpy, more is vague."""
_ROUNDS = 25
"""Rounds in which the surface is corrected by the error of its counts."""
_CONTRAST_ON_AVERAGE = 3.0
"""Least contrast of ink with the mean luminance behind it; the value of WCAG 2.1 for large text."""
_CONTRAST_NEARLY_EVERYWHERE = 2.0
"""Least contrast of ink with nineteen of twenty pixels behind it."""


def strokes(counts: Float[np.ndarray, "digits side side"]) -> Float[np.ndarray, "digits samples samples"]:
    """Surfaces that are higher than ``OUTLINE`` where the pen was.

    Args:
        counts: share of ink in each original pixel, 0..1.

    Returns:
        ``CELL`` samples per original pixel, with a blank original pixel added on every side.
    """
    known = np.pad(counts, ((0, 0), (1, 1), (1, 1)))
    side = known.shape[-1]
    centres = np.arange(side) + 0.5
    places = (np.arange(side * CELL) + 0.5) / CELL
    bumps = np.exp(-0.5 * ((places[:, None] - centres) / _SMOOTHNESS) ** 2)
    bumps = (bumps / bumps.sum(axis=1, keepdims=True)).astype(np.float32)
    surface = np.zeros((len(known), side * CELL, side * CELL), dtype=np.float32)
    for _ in range(_ROUNDS):
        # A soft edge, three times the surface's slope: with a hard one the correction would oscillate.
        ink = np.clip((surface - OUTLINE) * 3 + 0.5, 0, 1)
        found = ink.reshape(len(known), side, CELL, side, CELL).mean(axis=(2, 4))
        surface += bumps @ (known - found).astype(np.float32) @ bumps.T
    return surface


def draw(
    surface: Float[np.ndarray, "samples samples"], height: float, degrees: float
) -> Float[np.ndarray, "height width"]:
    """One digit as the share of ink in each pixel, 0..1, cut to pixels that are mostly ink on every side.

    ``height`` is that of the upright original's 8 pixels, in pixels; ``degrees`` turn counterclockwise.
    """
    side = round(height * len(surface) / (len(surface) - 2 * CELL))
    enlarged = Image.fromarray(surface).resize((side, side), Image.Resampling.BICUBIC)
    turned = enlarged.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    above = np.asarray(turned) - OUTLINE
    down, right = np.gradient(above)
    # Height over slope is the distance to the outline in pixels: half a pixel inside is full ink, half outside none.
    ink = np.clip(above / np.maximum(np.hypot(down, right), 1e-6) + 0.5, 0, 1)
    rows, columns = np.flatnonzero((ink >= 0.5).any(axis=1)), np.flatnonzero((ink >= 0.5).any(axis=0))
    return np.asarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def luminance(rgb: Float[np.ndarray, "*any 3"]) -> Float[np.ndarray, "*any"]:
    """Relative luminance 0..1 of sRGB values 0..1 (WCAG 2.1, with 2.2 as the exponent)."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(rgb**2.2 @ weights)


def contrast(
    one: Float[np.ndarray, "*ones"] | float, other: Float[np.ndarray, "*others"]
) -> Float[np.ndarray, "*broadcast"]:
    """Contrast ratio 1..21 of two luminances (WCAG 2.1)."""
    return np.asarray((np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05))


def readable_ink(
    behind: UInt8[np.ndarray, "height width 3"], generator: np.random.Generator
) -> Float[np.ndarray, " 3"] | None:
    """A colour, sRGB 0..1, with enough contrast to these pixels; ``None`` if eight tries find none."""
    grounds = luminance(behind[::2, ::2].astype(np.float64) / 255)
    for _ in range(8):
        lightness = generator.uniform(0.08, 0.4) if generator.random() < 0.5 else generator.uniform(0.58, 0.9)
        colour = np.array(colorsys.hls_to_rgb(generator.random(), lightness, generator.uniform(0.6, 1.0)))
        ink = luminance(colour)
        nearly_everywhere = np.percentile(contrast(ink, grounds), 5)
        if contrast(grounds.mean(), ink) >= _CONTRAST_ON_AVERAGE and nearly_everywhere >= _CONTRAST_NEARLY_EVERYWHERE:
            return colour
    return None
