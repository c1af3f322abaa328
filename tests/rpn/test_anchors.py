"""The paper's nine anchors, grids, levels (section 3.1.1), with the arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.rpn.anchors import AnchorGenerator, anchors_of_levels, base_anchors, fitted_strides, grid_of_anchors
from faster_rcnn.structures import ImageBatch, ImageSize
from tiny import boxes_of

CPU = torch.device("cpu")


def test_the_nine_anchors_of_the_paper() -> None:
    # 128, 256, 512 pixels, height : width 1:2, 1:1, 2:1. For 1:2: width = size * sqrt(2), height = size / sqrt(2):
    # halves of 128: 90.51 and 45.25; of 256: 181.02 and 90.51; of 512: 362.04 and 181.02. Rounded to whole pixels.
    expected = [
        [-91, -45, 91, 45],
        [-181, -91, 181, 91],
        [-362, -181, 362, 181],
        [-64, -64, 64, 64],
        [-128, -128, 128, 128],
        [-256, -256, 256, 256],
        [-45, -91, 45, 91],
        [-91, -181, 91, 181],
        [-181, -362, 181, 362],
    ]
    assert_close(base_anchors([128, 256, 512], [0.5, 1.0, 2.0], rounding=True), boxes_of(expected))


def test_the_nine_anchors_of_the_paper_at_the_middles_of_their_cells() -> None:
    # Stride 16, offset 0.5: the first position is the middle of the first cell, (8, 8); the position of row 1, column
    # 2 is (2.5 * 16, 1.5 * 16) = (40, 24). Areas 128^2, 256^2, 512^2; height : width 1:2, 1:1, 2:1.
    base = base_anchors([128, 256, 512], [0.5, 1.0, 2.0], rounding=False)
    grid = grid_of_anchors(base, ImageSize(height=3, width=4), stride=(16.0, 16.0), offset=0.5)
    for position, x, y in ((0, 8, 8), (1 * 4 + 2, 40, 24)):
        x1, y1, x2, y2 = grid[9 * position : 9 * position + 9].unbind(dim=1)
        assert_close((x1 + x2) / 2, torch.full((9,), float(x)), rtol=0, atol=1e-4)
        assert_close((y1 + y2) / 2, torch.full((9,), float(y)), rtol=0, atol=1e-4)
        assert_close((x2 - x1) * (y2 - y1), torch.tensor([128.0, 256, 512]).square().repeat(3))
        assert_close((y2 - y1) / (x2 - x1), torch.tensor([0.5, 1.0, 2.0]).repeat_interleave(3))
    # The 2:1 of 128^2 at the first: 128 / sqrt(2) = 90.5097 wide, 181.0193 high, around (8, 8).
    assert_close(grid[6], torch.tensor([-37.2548, -82.5097, 53.2548, 98.5097]), rtol=0, atol=1e-3)
    # The square of 256^2 at the second.
    assert_close(grid[9 * 6 + 4], torch.tensor([-88.0, -104.0, 168.0, 152.0]))


def test_unrounded_anchors_have_the_area_and_the_ratio_exactly() -> None:
    x1, y1, x2, y2 = base_anchors([100], [0.25, 4.0], rounding=False).unbind(-1)
    # Ratio 1/4: 200 wide and 50 high; ratio 4: 50 wide and 200 high; 10000 square pixels both.
    assert_close(x2 - x1, torch.tensor([200.0, 50.0]))
    assert_close(y2 - y1, torch.tensor([50.0, 200.0]))
    assert_close(x1, -x2)
    assert_close(y1, -y2)


def test_grid_is_ordered_by_row_column_shape_from_the_upper_left_corner() -> None:
    base = boxes_of([[-2, -1, 2, 1], [-1, -2, 1, 2]])
    grid = grid_of_anchors(base, ImageSize(height=2, width=3), stride=(16.0, 16.0))
    centres = [(0, 0), (16, 0), (32, 0), (0, 16), (16, 16), (32, 16)]  # (x, y)
    expected = [row for x, y in centres for row in ([x - 2, y - 1, x + 2, y + 1], [x - 1, y - 2, x + 1, y + 2])]
    assert_close(grid, boxes_of(expected))


def test_grid_knows_the_stride_down_from_the_stride_to_the_right() -> None:
    grid = grid_of_anchors(boxes_of([[0, 0, 1, 1]]), ImageSize(height=2, width=2), stride=(10.0, 100.0))
    assert_close(grid, boxes_of([[0, 0, 1, 1], [100, 0, 101, 1], [0, 10, 1, 11], [100, 10, 101, 11]]))


def test_a_60_by_40_map_has_about_20000_anchors_as_the_paper_says() -> None:
    # "approximately 20000 (~ 60 x 40 x 9) anchors in total": 21600 for a 1000 x 600 image.
    base = base_anchors([128, 256, 512], [0.5, 1.0, 2.0], rounding=True)
    assert len(grid_of_anchors(base, ImageSize(40, 60), (16.0, 16.0))) == 21600


def test_levels_follow_each_other_finest_first() -> None:
    bases = [boxes_of([[-4, -4, 4, 4]]), boxes_of([[-8, -8, 8, 8]])]
    anchors = anchors_of_levels(bases, [ImageSize(2, 2), ImageSize(1, 1)], [(8.0, 8.0), (16.0, 16.0)], CPU)
    assert anchors.per_level == (4, 1)
    assert_close(anchors.boxes[4], torch.tensor([-8.0, -8.0, 8.0, 8.0]))
    assert_close(anchors.boxes[3], torch.tensor([4.0, 4.0, 12.0, 12.0]))


@pytest.mark.parametrize("grid", [ImageSize(0, 0), ImageSize(0, 3), ImageSize(3, 0)])
def test_a_map_without_features_has_no_anchors(grid: ImageSize) -> None:
    assert grid_of_anchors(boxes_of([[-1, -1, 1, 1]]), grid, (8.0, 8.0)).shape == (0, 4)


def test_fitted_strides_are_whole_pixels_of_the_padded_image_per_cell() -> None:
    # 416 / 7 = 59.4 -> 59 down, 608 / 10 = 60.8 -> 60 to the right; where the level fits, the stride itself.
    sizes = [ImageSize(104, 152), ImageSize(7, 10)]
    assert fitted_strides(ImageSize(416, 608), sizes) == [(4, 4), (59, 60)]


def test_the_finest_levels_may_have_no_anchors() -> None:
    anchors = AnchorGenerator([[], [], [16, 32], [32, 64]], [[1.0]] * 4, [4, 8, 16, 32])
    features = [torch.zeros(1, 1, side, side) for side in (8, 4, 2, 1)]
    made = anchors(features, ImageBatch(torch.zeros(1, 3, 32, 32), (ImageSize(32, 32),)))
    assert made.per_level == (0, 0, 8, 2)
    assert_close(made.boxes[:2], boxes_of([[-8, -8, 8, 8], [-16, -16, 16, 16]]))
    assert (anchors.per_position, anchors.skipped, anchors.positions(made)) == (2, 2, 5)
