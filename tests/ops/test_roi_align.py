"""RoI align and RoI pool against loops over bins and samples, and on maps whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.roi_align import roi_align, roi_align_levels, roi_pool, roi_pool_levels
from tiny import gathered, random_image

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
STRIDE = 8
Align = Callable[..., Tensor]
WAYS = (roi_align, gathered)
"""The kernel, and sums of feature rows, which do not adapt the number of samples."""
both_ways = pytest.mark.parametrize("align", WAYS)
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


def slow_align(feature: Tensor, box: list[float], side: int, samples: int, aligned: bool = False) -> Tensor:
    """One channel of one region; ``box`` in features. Unless aligned, a region is at least one feature long.

    With 0 samples each bin has one for each feature that it is long, rounded up.
    """
    x1, y1, x2, y2 = (edge - 0.5 * aligned for edge in box)
    width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
    bin_width, bin_height = width / side, height / side
    across, down = (samples or math.ceil(each) for each in (bin_width, bin_height))
    pooled = torch.zeros(side, side)
    for row in range(side):
        for column in range(side):
            for dy in range(down):
                for dx in range(across):
                    y = y1 + (row + (dy + 0.5) / down) * bin_height
                    x = x1 + (column + (dx + 0.5) / across) * bin_width
                    pooled[row, column] += bilinear(feature, y, x) / (down * across)
    return pooled


def random_regions() -> Tensor:
    """Forty regions around the maps: some inside, some across their border, some wholly outside."""
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(40, 2, generator=generator) * 90 - 25
    sides = torch.rand(40, 2, generator=generator) * torch.tensor([[40.0, 4.0]]).T[torch.arange(40) % 2]
    images = (torch.arange(40) % 2).float()[:, None]
    return torch.cat([images, corners, corners + sides], dim=1)


REGIONS = torch.cat([REGIONS, random_regions()])


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


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(
    ("align", "side", "samples"),
    [(align, side, samples) for align in WAYS for side, samples in ((1, 1), (3, 2), (2, 3))]
    + [(roi_align, 1, 0), (roi_align, 2, 0)],
)
def test_roi_align_equals_a_loop_over_samples(
    align: Align, side: int, samples: int, aligned: bool, order: torch.memory_format
) -> None:
    maps = MAPS.contiguous(memory_format=order)
    pooled = align(maps, REGIONS, stride=STRIDE, side=side, sampling_ratio=samples, aligned=aligned)
    for region, found in zip(REGIONS, pooled, strict=True):
        feature = MAPS[int(region[0]), 1]
        expected = slow_align(feature, (region[1:] / STRIDE).tolist(), side, samples, aligned)
        assert_close(found[1], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("side", [1, 2, 7])
def test_roi_pool_equals_a_loop_over_bins(side: int) -> None:
    pooled = roi_pool(MAPS, REGIONS, stride=STRIDE, side=side)
    assert bool((pooled[len(pooled) - 40 :].amax(dim=1) == 0).any())  # there are bins without features
    for region, found in zip(REGIONS, pooled, strict=True):
        for channel, feature in enumerate(MAPS[int(region[0])]):
            assert_close(found[channel], slow_pool(feature, (region[1:] / STRIDE).tolist(), side))


@pytest.mark.parametrize("pooling", ["align", "gathered align", "adaptive align", "pool"])
def test_bfloat16_features_are_pooled_and_trained(pooling: str) -> None:
    def pool(features: Tensor) -> Tensor:
        if pooling == "pool":
            return roi_pool(features, REGIONS, stride=STRIDE, side=2)
        ratio = 0 if pooling == "adaptive align" else 2
        align: Align = gathered if pooling == "gathered align" else roi_align
        return align(features, REGIONS, stride=STRIDE, side=2, sampling_ratio=ratio)

    exact = (MAPS / 256).requires_grad_()
    coarse = (MAPS / 256).bfloat16().requires_grad_()
    found, expected = pool(coarse), pool(exact)
    found.float().sum().backward()
    expected.sum().backward()
    assert found.dtype == torch.bfloat16
    assert_close(found.float(), expected, rtol=0.02, atol=0.02)
    assert exact.grad is not None
    assert coarse.grad is not None
    assert_close(coarse.grad.float().sum(), exact.grad.sum(), rtol=0.02, atol=0.0)


@both_ways
def test_roi_align_reads_a_ramp_at_the_centres_of_its_bins(align: Align) -> None:
    # The map is 10 * row + column. Region rows 1..5, columns 2..4 in features, two bins a side: bins 2 x 1, centres
    # rows 2 and 4, columns 2.5 and 3.5. Bilinear samples of a plane are exact and their mean is the centre's value.
    ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
    pooled = align(ramp, torch.tensor([[0.0, 8.0, 4.0, 16.0, 20.0]]), stride=4, side=2, sampling_ratio=2)
    assert_close(pooled[0, 0], torch.tensor([[22.5, 23.5], [42.5, 43.5]]))


@both_ways
def test_a_feature_lies_at_the_pixel_of_stride_times_its_index(align: Align) -> None:
    # No half-pixel offset: a sample at pixel (8 * 2, 8 * 3) is feature row 3, column 2 itself. The region is one
    # feature wide around it, with one sample at its centre.
    ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
    pooled = align(ramp, torch.tensor([[0.0, 12.0, 20.0, 20.0, 28.0]]), stride=8, side=1, sampling_ratio=1)
    assert_close(pooled.flatten(), torch.tensor([32.0]))


@both_ways
def test_an_aligned_feature_lies_at_the_centre_of_its_cell(align: Align) -> None:
    # Half a feature up and left: a sample at pixel (20, 28), the middle of column 2 and row 3 of stride 8, is that
    # feature itself. Without the offset the same place lies between four: row 3.5, column 2.5.
    ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
    region = torch.tensor([[0.0, 16.0, 24.0, 24.0, 32.0]])
    for aligned, value in ((True, 32.0), (False, 37.5)):
        pooled = align(ramp, region, stride=8, side=1, sampling_ratio=1, aligned=aligned)
        assert_close(pooled.flatten(), torch.tensor([value]))


@both_ways
def test_an_aligned_region_may_be_shorter_than_a_feature(align: Align) -> None:
    # Columns 2.25 to 2.75 and rows 3.25 to 3.75 of stride 8, minus one half: bins centred at 1.875 and 2.125, 2.875 and
    # 3.125. Not aligned, the region grows to one feature to the right and down: centres 2.5 and 3, 3.5 and 4.
    ramp = (10 * torch.arange(8.0)[:, None] + torch.arange(8.0))[None, None]
    region = torch.tensor([[0.0, 18.0, 26.0, 22.0, 30.0]])
    short = align(ramp, region, stride=8, side=2, sampling_ratio=1, aligned=True)
    grown = align(ramp, region, stride=8, side=2, sampling_ratio=1)
    assert_close(short[0, 0], torch.tensor([[28.75 + 1.875, 28.75 + 2.125], [31.25 + 1.875, 31.25 + 2.125]]))
    assert_close(grown[0, 0], torch.tensor([[37.5, 38.0], [42.5, 43.0]]))


def test_adaptive_sampling_reads_every_feature_of_a_long_bin() -> None:
    # One bin over four features has four samples, each on one of them: 0, 0, 8, 0 at columns 0.5 .. 3.5 aligned to
    # 0 .. 3. One sample alone would lie at 1.5, between the zeros and the 8.
    line = torch.tensor([0.0, 0.0, 8.0, 0.0, 0.0]).reshape(1, 1, 1, 5)
    region = torch.tensor([[0.0, 0.0, 0.0, 16.0, 4.0]])
    for align, ratio, mean in ((roi_align, 0, 2.0), (roi_align, 1, 4.0), (gathered, 1, 4.0)):
        pooled = align(line, region, stride=4, side=1, sampling_ratio=ratio, aligned=True)
        assert_close(pooled.flatten(), torch.tensor([mean]))


def test_no_regions() -> None:
    none = REGIONS[:0]
    for align, ratio, aligned in (
        *((align, 2, aligned) for align in WAYS for aligned in (False, True)),
        (roi_align, 0, True),
    ):
        pooled = align(MAPS, none, stride=8, side=7, sampling_ratio=ratio, aligned=aligned)
        assert pooled.shape == (0, 3, 7, 7)
    assert roi_pool(MAPS, none, stride=8, side=7).shape == (0, 3, 7, 7)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_levels_are_pooled_one_by_one_and_rows_keep_their_order(order: torch.memory_format) -> None:
    strides = (8, 16)
    features = [each.contiguous(memory_format=order) for each in (MAPS, MAPS[..., ::2, ::2])]
    levels = torch.arange(len(REGIONS)) % 2
    aligned = roi_align_levels(features, REGIONS, levels, strides=strides, side=2, sampling_ratio=2)
    pooled = roi_pool_levels(features, REGIONS, levels, strides=strides, side=2)
    for index, (region, level) in enumerate(zip(REGIONS, levels.tolist(), strict=True)):
        feature, stride = features[level], strides[level]
        alone = roi_align(feature, region[None], stride=stride, side=2, sampling_ratio=2)
        assert torch.equal(aligned[index], alone[0])
        assert torch.equal(pooled[index], roi_pool(feature, region[None], stride=stride, side=2)[0])


def test_no_regions_of_any_level() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    given = ([MAPS, MAPS], REGIONS[:0], none)
    assert roi_align_levels(*given, strides=(8, 16), side=7, sampling_ratio=2).shape == (0, 3, 7, 7)
    assert roi_pool_levels(*given, strides=(8, 16), side=7).shape == (0, 3, 7, 7)
