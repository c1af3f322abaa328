from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.positions import Position, centres_of, position_at, position_of
from faster_rcnn.inference.tiles import Tiling


def test_centres_lie_at_multiples_of_the_stride() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    centres = centres_of(part, part.first, 1)
    assert centres.shape == (8, 12, 2)
    assert_close(centres[2, 5], torch.tensor([5 * 8.0, 2 * 8.0]))


def test_a_position_has_the_anchors_around_its_centre() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    # Level 1 begins after 3 * 16 * 24 = 1152 anchors; row 2, column 5 of 12 is its 29th position, of 3 anchors.
    start = 1152 + 3 * (2 * 12 + 5)
    expected = Position(1, 2, 5, range(start, start + 3))
    assert position_of(part, part.first, start + 2) == expected
    # 85 of 128 pixels are left after resizing: the centre (40, 16) lies at x = 60.2, y = 24 of the image.
    assert position_at(part, part.first, 1, (60.0, 24.0)) == expected
    boxes = part.first.anchors.boxes[list(expected.anchors)]
    assert_close((boxes[:, :2] + boxes[:, 2:]) / 2, torch.tensor([[40.0, 16.0]]).expand(3, 2))


def test_positions_of_a_tile_are_named_in_pixels_of_the_image() -> None:
    part = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2)).recording.parts[-1]
    assert part.first is not None
    # The tile begins at x = 100 and has 64 pixels for 100: (150, 25) lies at (32, 16) of it, row 4, column 8 of P2.
    place = position_at(part, part.first, 0, (150.0, 25.0))
    assert (place.row, place.column) == (4, 8)
    with pytest.raises(OptionError, match=r"at \(50, 25\): this part of the image has x from 100 to 200"):
        position_at(part, part.first, 0, (50.0, 25.0))


def test_every_anchor_is_at_its_own_position() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    for anchor in (0, 1, 700, 1151, 1152, 1500, 1535):
        assert anchor in position_of(part, part.first, anchor).anchors
