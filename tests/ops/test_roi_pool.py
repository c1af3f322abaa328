"""RoI align and RoI pool against loops over bins and samples, and on maps whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.roi_pool import roi_align, roi_pool
from tiny import random_image

# (image, x1, y1, x2, y2): inside, at the border, over it, of no size, and of the second image.
REGIONS = torch.tensor(
    [
        [0, 4.0, 8.0, 40.0, 30.0],
        [0, 0.0, 0.0, 56.0, 48.0],
        [1, 30.0, 20.0, 80.0, 70.0],
        [1, 17.0, 9.0, 17.0, 9.0],
        [0, 11.0, 5.0, 13.0, 6.0],
    ]
)
MAPS = random_image(12, 7).float().reshape(2, 3, 6, 7)  # two images, three channels, 6 x 7 features of stride 8


def bilinear(feature: Tensor, y: float, x: float) -> float:
    """One channel at a place between features; nothing beyond a whole feature outside the map."""
    rows, columns = feature.shape
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return 0.0
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
    upper = feature[top, left] * (1 - (x - left)) + feature[top, right] * (x - left)
    lower = feature[bottom, left] * (1 - (x - left)) + feature[bottom, right] * (x - left)
    return float(upper * (1 - (y - top)) + lower * (y - top))


def slow_align(feature: Tensor, box: list[float], side: int, samples: int) -> Tensor:
    """One channel of one region; ``box`` in features. A region is at least one feature wide and high."""
    x1, y1, x2, y2 = box
    bin_width, bin_height = max(x2 - x1, 1) / side, max(y2 - y1, 1) / side
    at = [(index + 0.5) / samples for index in range(samples)]
    means = [
        sum(bilinear(feature, y1 + (row + dy) * bin_height, x1 + (column + dx) * bin_width) for dy in at for dx in at)
        for row in range(side)
        for column in range(side)
    ]
    return torch.tensor(means).reshape(side, side) / samples**2


def slow_pool(feature: Tensor, box: list[float], side: int) -> Tensor:
    """One channel of one region; corners rounded to features, both included; empty bins are 0."""
    x1, y1, x2, y2 = (math.floor(each + 0.5) for each in box)
    bin_width, bin_height = max(x2 - x1 + 1, 1) / side, max(y2 - y1 + 1, 1) / side
    pooled = torch.zeros(side, side)
    for row in range(side):
        for column in range(side):
            top, bottom = math.floor(row * bin_height) + y1, math.ceil((row + 1) * bin_height) + y1
            left, right = math.floor(column * bin_width) + x1, math.ceil((column + 1) * bin_width) + x1
            cell = feature[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            pooled[row, column] = cell.max() if cell.numel() else 0
    return pooled


@pytest.mark.parametrize(("side", "samples"), [(1, 1), (2, 2), (7, 2), (3, 3)])
def test_roi_align_equals_a_loop_over_samples(side: int, samples: int) -> None:
    pooled = roi_align(MAPS, REGIONS, stride=8, side=side, sampling_ratio=samples)
    for region, found in zip(REGIONS, pooled, strict=True):
        for channel, feature in enumerate(MAPS[int(region[0])]):
            expected = slow_align(feature, (region[1:] / 8).tolist(), side, samples)
            assert_close(found[channel], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("side", [1, 2, 7])
def test_roi_pool_equals_a_loop_over_bins(side: int) -> None:
    pooled = roi_pool(MAPS, REGIONS, stride=8, side=side)
    for region, found in zip(REGIONS, pooled, strict=True):
        for channel, feature in enumerate(MAPS[int(region[0])]):
            assert_close(found[channel], slow_pool(feature, (region[1:] / 8).tolist(), side))


def test_roi_align_reads_a_ramp_at_the_centres_of_its_bins() -> None:
    # The map is 10 * row + column. Region rows 1..5, columns 2..4 in features, two bins a side: bins 2 x 1, centres
    # rows 2 and 4, columns 2.5 and 3.5. Bilinear samples of a plane are exact and their mean is the centre's value.
    ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
    pooled = roi_align(ramp, torch.tensor([[0.0, 8.0, 4.0, 16.0, 20.0]]), stride=4, side=2, sampling_ratio=2)
    assert_close(pooled[0, 0], torch.tensor([[22.5, 23.5], [42.5, 43.5]]))


def test_a_feature_speaks_for_the_pixel_at_stride_times_its_index() -> None:
    # No half-pixel offset: a sample at pixel (8 * 2, 8 * 3) is feature row 3, column 2 itself. The region is one
    # feature wide around it, with one sample at its centre.
    ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
    pooled = roi_align(ramp, torch.tensor([[0.0, 12.0, 20.0, 20.0, 28.0]]), stride=8, side=1, sampling_ratio=1)
    assert_close(pooled.flatten(), torch.tensor([32.0]))


def test_no_regions() -> None:
    none = REGIONS[:0]
    assert roi_align(MAPS, none, stride=8, side=7, sampling_ratio=2).shape == (0, 3, 7, 7)
    assert roi_pool(MAPS, none, stride=8, side=7).shape == (0, 3, 7, 7)
