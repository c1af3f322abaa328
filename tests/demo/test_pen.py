"""Digits drawn by pen: the counts of their pixels, clean edges and enough contrast."""

from __future__ import annotations

import numpy as np
import pytest

from faster_rcnn.demo.pen import CELL, OUTLINE, contrast, draw, luminance, readable_ink, strokes


def bar() -> np.ndarray:
    """A stroke 2 pixels wide and 8 tall, as one surface."""
    counts = np.zeros((1, 8, 8))
    counts[0, :, 3:5] = 1
    return np.asarray(strokes(counts)[0])


def test_strokes_give_the_counts_back() -> None:
    # A 2x8 bar of full pixels next to a column of half-filled ones; the outline must enclose the same amount of ink.
    counts = np.zeros((1, 8, 8))
    counts[0, :, 3:5] = 1
    counts[0, :, 5] = 0.5
    inside = strokes(counts)[0] > OUTLINE
    found = inside.reshape(10, CELL, 10, CELL).mean(axis=(1, 3))[1:-1, 1:-1]
    np.testing.assert_allclose(found[2:-2], counts[0, 2:-2], atol=0.1)


def test_strokes_of_nothing_are_blank() -> None:
    assert (strokes(np.zeros((1, 8, 8))) < OUTLINE).all()
    assert strokes(np.zeros((0, 8, 8))).shape == (0, 10 * CELL, 10 * CELL)


def test_draw_upright() -> None:
    # 8 original pixels become 80, so the bar of 2x8 becomes 20x80, less what the smooth outline rounds off.
    height, width = draw(bar(), 80, 0).shape
    assert height == pytest.approx(80, abs=4)
    assert width == pytest.approx(20, abs=3)


def test_draw_turned_counterclockwise() -> None:
    # 20x80 turned by 25 degrees: 80 sin 25 + 20 cos 25 = 51.9 wide, 80 cos 25 + 20 sin 25 = 81.0 tall, rounded off.
    ink = draw(bar(), 80, 25)
    assert ink.shape[1] == pytest.approx(51.9, abs=8)
    assert ink.shape[0] == pytest.approx(81.0, abs=8)
    assert ink[3].argmax() < ink[-4].argmax()


@pytest.mark.parametrize("degrees", [-25.0, 0.0, 13.0])
@pytest.mark.parametrize("height", [26.0, 57.3, 150.0])
def test_draw_is_cut_tight_and_has_clean_edges(height: float, degrees: float) -> None:
    ink = draw(bar(), height, degrees)
    for side in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
        assert side.max() >= 0.5
    assert ink.min() >= 0
    assert ink.max() == 1
    # Half-covered pixels lie along the outline only: no more of them than twice the length of the outline.
    assert ((ink > 0) & (ink < 1)).sum() <= 2 * 2.5 * height


def test_contrast_by_hand() -> None:
    # White on black: (1 + 0.05) / (0 + 0.05) = 21, whichever is the ink.
    white, black = luminance(np.ones(3)), luminance(np.zeros(3))
    assert contrast(white, black) == pytest.approx(21)
    assert contrast(black, white) == pytest.approx(21)
    # sRGB 0.5 green: 0.7152 * 0.5^2.2 = 0.7152 * 0.21764 = 0.15566.
    assert luminance(np.array([0, 0.5, 0])) == pytest.approx(0.15566, abs=1e-5)


@pytest.mark.parametrize("grey", [0, 255])
def test_ink_has_contrast(grey: int) -> None:
    behind = np.full((20, 10, 3), grey, dtype=np.uint8)
    colour = readable_ink(behind, np.random.default_rng(0))
    assert colour is not None
    assert contrast(float(grey > 0), luminance(colour)) >= 3


def test_no_ink_has_contrast_with_every_grey() -> None:
    every_grey = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(8, axis=0)
    assert readable_ink(every_grey, np.random.default_rng(0)) is None
