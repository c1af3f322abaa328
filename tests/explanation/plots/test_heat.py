from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from drawn_pictures import pixels_of
from explained_images import tiny_explained
from faster_rcnn.explanation.plots.heat import STOPS, colour_at, colour_bar, draw_heat, heat_map, stretched
from faster_rcnn.explanation.plots.view import view_of


def test_colours_grow_lighter_from_0_to_1() -> None:
    assert colour_at(0.0) == (0x44, 0x01, 0x54)
    assert colour_at(1.0) == (0xFE, 0xE8, 0x25)
    assert colour_at(-3.0) == colour_at(0.0)
    assert colour_at(3.0) == colour_at(1.0)
    luma = [
        0.299 * red + 0.587 * green + 0.114 * blue
        for red, green, blue in map(colour_at, torch.linspace(0, 1, 50).tolist())
    ]
    assert luma == sorted(luma)


def test_between_two_stops_lies_their_mean() -> None:
    low, high = (np.array(list(stop.to_bytes(3))) for stop in STOPS[:2])
    assert colour_at(0.5 / (len(STOPS) - 1)) == pytest.approx((low + high) / 2, abs=0.51)


def test_each_number_is_a_cell() -> None:
    picture = heat_map(torch.tensor([[0.0, 1.0], [0.5, 0.0]]), (20, 10))
    assert pixels_of(picture, colour_at(1.0)) == pixels_of(picture, colour_at(1.0), (10, 0, 20, 5)) == 50
    assert pixels_of(picture, colour_at(0.0)) == 100


def test_heat_lies_over_the_image_and_leaves_out_the_padding() -> None:
    recording = tiny_explained(size=(96, 128)).recording  # padded to 64 x 96, of which 64 x 85 are the image
    view = view_of(recording, recording.whole, faded=1.0)  # white
    values = torch.zeros(2, 3)
    values[1, 2] = 1.0  # the cell of rows 32 to 64 and columns 64 to 96 of the padded image
    draw_heat(view, recording.whole, values)
    cold, hot = view.picture.getpixel((5, 5)), view.picture.getpixel((view.picture.width - 5, view.picture.height - 5))
    assert pixels_of(view.picture, hot) + pixels_of(view.picture, cold) == view.picture.width * view.picture.height  # type: ignore[arg-type]
    # The hot cell is 85 - 64 of 85 columns wide and half as high as the image.
    share = pixels_of(view.picture, hot) / (view.picture.width * view.picture.height)  # type: ignore[arg-type]
    assert share == pytest.approx((85 - 64) / 85 / 2, abs=0.01)


def test_numbers_are_stretched_to_0_and_1() -> None:
    assert_close(stretched(torch.tensor([[5.0, 5.0]])), torch.zeros(1, 2))
    spread = stretched(torch.arange(1000.0).reshape(20, 50))
    assert (float(spread.min()), float(spread.max())) == (0, 1)
    # An outlier does not make everything else dark.
    values = torch.arange(1000.0)
    values[-1] = 1e9
    assert float(stretched(values.reshape(20, 50)).mean()) == pytest.approx(0.5, abs=0.02)


def test_the_bar_shows_all_colours() -> None:
    bar = colour_bar(300, "0", "1")
    assert bar.width == 300
    assert pixels_of(bar, colour_at(0.0)) > 0
    assert pixels_of(bar, colour_at(1.0)) > 0
