"""Which level a region reads (FPN, Eq. 1), and that the order of regions survives the reading."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.roi_align import roi_align, roi_pool
from faster_rcnn.roi.pooling import Pooling, pool_regions, pyramid_level
from tiny import boxes_of

RULE = Pooling("align", side=2, sampling_ratio=2, canonical_size=224.0, strides=(4, 8, 16, 32))


def square(side: float) -> list[float]:
    return [10, 20, 10 + side, 20 + side]


@pytest.mark.parametrize(
    ("side", "level"),
    [
        (0, 2),  # no size at all: the finest
        (1, 2),
        (111.9, 2),  # 4 + log2(111.9 / 224) = 2.999
        (112, 3),  # 4 + log2(1 / 2) = 3
        (223.9, 3),
        (223.9999, 4),  # 3.9999994, within what rounding of corners may do to a region of the canonical size
        (224, 4),  # the canonical size
        (447.9, 4),
        (448, 5),
        (10000, 5),  # there is nothing coarser for regions
    ],
)
def test_level_of_a_square(side: float, level: int) -> None:
    assert pyramid_level(boxes_of([square(side)]), 224.0, finest=2, coarsest=5).tolist() == [level]


def test_level_goes_by_area_not_by_a_side() -> None:
    # 448 x 112 has the area of 224 x 224.
    assert pyramid_level(boxes_of([[0, 0, 448, 112], [0, 0, 112, 448]]), 224.0, finest=2, coarsest=5).tolist() == [4, 4]


def test_level_depends_on_the_canonical_size() -> None:
    assert pyramid_level(boxes_of([square(112)]), 112.0, finest=2, coarsest=5).tolist() == [4]


def test_no_regions_have_no_levels() -> None:
    assert pyramid_level(boxes_of([]), 224.0, finest=2, coarsest=5).shape == (0,)


def maps(count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(count, 3, 512 // stride, 512 // stride, generator=generator) for stride in RULE.strides]


@pytest.mark.parametrize("method", ["align", "aligned-align", "pool"])
def test_each_region_reads_its_image_at_its_level_in_the_order_given(
    method: Literal["align", "aligned-align", "pool"],
) -> None:
    features = maps(3)
    # Levels 5, 2, 4 of the first image, none of the second, levels 3, 2 of the third.
    regions = [boxes_of([square(450), square(30), square(230)]), boxes_of([]), boxes_of([square(120), square(50)])]
    pooled = pool_regions(features, regions, replace(RULE, method=method))
    expected = []
    for image, side, level in ((0, 450, 5), (0, 30, 2), (0, 230, 4), (2, 120, 3), (2, 50, 2)):
        row = torch.tensor([[image, *square(side)]], dtype=torch.float32)
        if method == "pool":
            expected.append(roi_pool(features[level - 2], row, stride=2**level, side=2))
            continue
        aligned = method == "aligned-align"
        expected.append(roi_align(features[level - 2], row, stride=2**level, side=2, sampling_ratio=2, aligned=aligned))
    assert_close(pooled, torch.cat(expected))


@pytest.mark.parametrize("regions", [[], [0], [0, 0]])
def test_no_regions_give_no_features(regions: list[int]) -> None:
    empty = [boxes_of([]) for _ in regions] or [boxes_of([])]
    assert pool_regions(maps(max(len(regions), 1)), empty, RULE).shape == (0, 3, 2, 2)


def test_two_levels_of_one_stride_read_the_first() -> None:
    # torchvision's MobileNet has strides 32 and 32; Eq. 1 knows one level of stride 32 and reads the first.
    features = [torch.full((1, 1, 4, 4), 1.0), torch.full((1, 1, 4, 4), 2.0)]
    pooled = pool_regions(features, [boxes_of([square(10), square(90)])], replace(RULE, strides=(32, 32)))
    assert_close(pooled, torch.ones(2, 1, 2, 2))


def test_one_level_is_read_by_all_regions() -> None:
    features = [torch.rand(1, 3, 16, 16)]
    regions = boxes_of([square(1), square(60), square(230), square(1000)])
    pooled = pool_regions(features, [regions], replace(RULE, strides=(16,)))
    rows = torch.cat([torch.zeros(4, 1), regions], dim=1)
    assert_close(pooled, roi_align(features[0], rows, stride=16, side=2, sampling_ratio=2))


def test_gradient_reaches_the_features_and_not_the_regions() -> None:
    features = [each.requires_grad_() for each in maps(1)]
    pool_regions(features, [boxes_of([square(30), square(450)])], RULE).sum().backward()
    assert [each.grad is not None and bool(each.grad.any()) for each in features] == [True, False, False, True]


def test_float32_inference_is_torchvisions_kernel_and_all_else_is_gathered() -> None:
    features, regions = maps(1), boxes_of([square(30), square(450)])
    rows = torch.cat([torch.zeros(2, 1), regions], dim=1)
    with torch.no_grad():
        exact = pool_regions(features, [regions], RULE)
        fast = pool_regions([each.to(memory_format=torch.channels_last) for each in features], [regions], RULE)
    kernels = [roi_align(features[level], rows, stride=4 * 2**level, side=2, sampling_ratio=2) for level in (0, 3)]
    expected = torch.stack((kernels[0][0], kernels[1][1]))
    assert torch.equal(exact, expected)
    assert_close(fast, expected)
    assert_close(pool_regions(features, [regions], RULE), expected)  # with gradients
    assert fast.is_contiguous(memory_format=torch.channels_last)
