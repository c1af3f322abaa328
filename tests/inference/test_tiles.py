"""Where tiles lie, by hand, and what holds for any of them."""

from __future__ import annotations

from typing import Any

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.tiles import Tile, Tiling, tiling_of
from faster_rcnn.structures import ImageSize
from tiny import random_image


@pytest.mark.parametrize(
    ("side", "overlap", "length", "starts"),
    [
        (800, 0.2, 2000, [0, 640, 1200]),  # 160 are shared, so every 640; 1280 + 800 is too far: 2000 - 800
        (800, 0.2, 2080, [0, 640, 1280]),  # the third one ends where the image does
        (800, 0.2, 2081, [0, 640, 1280, 1281]),
        (800, 0.0, 1600, [0, 800]),
        (800, 0.2, 800, [0]),
        (800, 0.2, 801, [0, 1]),
        (800, 0.2, 500, [0]),
        (10, 0.5, 21, [0, 5, 10, 11]),
        (3, 0.99, 5, [0, 1, 2]),  # all three pixels would be shared: a step is one at least
        (1, 0.0, 3, [0, 1, 2]),
    ],
)
def test_starts_by_hand(side: int, overlap: float, length: int, starts: list[int]) -> None:
    assert Tiling(side, overlap).starts(length) == starts


def test_the_grid_by_hand() -> None:
    assert list(Tiling(100, 0.25).tiles(ImageSize(height=150, width=260))) == [
        Tile(0, 0, 100, 100), Tile(75, 0, 175, 100), Tile(150, 0, 250, 100), Tile(160, 0, 260, 100),
        Tile(0, 50, 100, 150), Tile(75, 50, 175, 150), Tile(150, 50, 250, 150), Tile(160, 50, 260, 150),
    ]  # fmt: skip
    # Narrower than a tile: as wide as the image.
    assert list(Tiling(100, 0.0).tiles(ImageSize(height=30, width=120))) == [Tile(0, 0, 100, 30), Tile(20, 0, 120, 30)]


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.floats(0, 0.9))
def test_tiles_cover_every_pixel_and_none_sticks_out(height: int, width: int, side: int, overlap: float) -> None:
    seen = torch.zeros(height, width, dtype=torch.bool)
    tiles = list(Tiling(side, overlap).tiles(ImageSize(height, width)))
    for x1, y1, x2, y2 in tiles:
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert (x2 - x1, y2 - y1) == (min(side, width), min(side, height))
        seen[y1:y2, x1:x2] = True
    assert seen.all()
    assert len(set(tiles)) == len(tiles)


@settings(deadline=None, max_examples=200)
@given(st.integers(50, 400), st.integers(10, 60), st.floats(0.1, 0.9), st.data())
def test_what_is_no_longer_than_the_overlap_lies_whole_in_some_tile(
    length: int, side: int, overlap: float, data: st.DataObject
) -> None:
    tiling, shared = Tiling(side, overlap), round(overlap * side)
    size = data.draw(st.integers(1, shared)) if shared else 1
    start = data.draw(st.integers(0, length - size))
    assert any(first <= start and start + size <= first + side for first in tiling.starts(length))


def test_a_tile_is_a_view() -> None:
    image = random_image(30, 50)
    part = Tile(x1=5, y1=10, x2=20, y2=30).of(image)
    assert part.shape == (3, 20, 15)
    assert part.data_ptr() == image[:, 10, 5:].data_ptr()


def test_what_fits_into_a_tile() -> None:
    assert Tiling(100, 0.2).fits(ImageSize(100, 100))
    assert not Tiling(100, 0.2).fits(ImageSize(101, 5))
    assert not Tiling(100, 0.2).fits(ImageSize(5, 101))


def test_what_a_user_gives() -> None:
    assert tiling_of(None, None) is None
    assert tiling_of(800, None) == Tiling(800, 0.2)
    assert tiling_of(1, 0.0) == Tiling(1, 0.0)


@pytest.mark.parametrize(
    ("tile", "overlap", "message"),
    [
        (0, None, "E125 tile 0: the side of a tile is an integer number of pixels, such as 800"),
        (-5, 0.2, "E125 tile -5: "),
        (0.5, None, "E125 tile 0.5: "),
        (800.5, None, "E125 tile 800.5: "),
        (float("nan"), None, "E125 tile nan: "),
        (float("inf"), None, "E125 tile inf: "),
        (800, 1.0, "E125 overlap 1: it is a share of the tile, 0 or more and below 1$"),
        (800, 20, "E125 overlap 20: .*; 20 % is 0.2$"),
        (800, -0.1, "E125 overlap -0.1: "),
        (800, float("nan"), "E125 overlap nan: "),
        (None, 0.2, "E125 overlap 0.2 is for tiles, and no tile is given; give their side in pixels: --tile 800"),
    ],
)
def test_numbers_that_make_no_sense(tile: Any, overlap: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users, whose types nobody checks
    with pytest.raises(OptionError, match=message):
        tiling_of(tile, overlap)
