from __future__ import annotations

import numpy as np

from drawn_pictures import first_panel, pixels_of
from explained_images import tiny_explained
from faster_rcnn.explanation.plots.figure import GAP, WIDTH, cell_width
from faster_rcnn.explanation.plots.image import plot_image
from faster_rcnn.explanation.plots.view import HATCH, OUTSIDE, view_of
from faster_rcnn.inference.tiles import Tiling


def test_the_image_stands_beside_the_input_of_the_backbone() -> None:
    explained = tiny_explained(size=(96, 128))
    picture = plot_image(explained.recording, explained.fates[0])
    assert picture.width == WIDTH
    view = view_of(explained.recording, explained.recording.whole, 2)
    assert first_panel(picture, view.picture.size, 1).tobytes() == view.picture.tobytes()


def test_the_input_shows_its_padding_and_its_own_pixels() -> None:
    explained = tiny_explained(size=(96, 128))  # resized to 85 x 64, padded to 96 x 64
    picture = plot_image(explained.recording, explained.fates[0])
    scale = cell_width(2) / 96
    left, right = 2 * GAP + cell_width(2), 2 * GAP + 2 * cell_width(2)
    border = left + round(85 * scale)
    whole = (border, 100, right, 200)
    outside = pixels_of(picture, OUTSIDE, whole) + pixels_of(picture, HATCH, whole)
    assert outside > 0.9 * (right - border) * 100
    # Each pixel of the input is a square: about 85 colours in a row of the picture, not one for each of its columns.
    row = np.asarray(picture.crop((left, 120, border, 121)))[0]
    assert int((row[1:] != row[:-1]).any(axis=-1).sum()) < 85


def test_a_tile_and_an_image_that_needs_no_padding() -> None:
    explained = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2))
    picture = plot_image(explained.recording, explained.fates[1])
    assert pixels_of(picture, OUTSIDE) == 0
