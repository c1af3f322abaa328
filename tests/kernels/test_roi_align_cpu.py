"""RoIAlign by gathering agrees with torchvision's kernel, forwards and backwards, and is taken where it is faster."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.ops import roi_align as torchvision_roi_align

from faster_rcnn.kernels.roi_align_cpu import gather_pays, gather_roi_align, roi_align_levels
from faster_rcnn.ops import roi_align as plain
from tiny import gathered

IMAGES, CHANNELS, ROWS, COLUMNS, STRIDE = 2, 5, 9, 13, 4


def some_regions() -> Tensor:
    """Inside the map, across each of its borders, far outside, without area, and larger than the image."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.rand(40, 2, generator=generator) * torch.tensor([70.0, 50.0]) - 12
    sides = torch.rand(40, 2, generator=generator) * 40
    special = torch.tensor([[-90.0, -90, -60, -50], [10, 10, 10, 10], [-100, -100, 200, 200], [51.9, 35.9, 52, 36]])
    boxes = torch.cat([torch.cat([corners, corners + sides], dim=1), special])
    return torch.cat([(torch.arange(len(boxes)) % IMAGES)[:, None].float(), boxes], dim=1)


@pytest.mark.parametrize("ratio", [1, 2, 3])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("aligned", [False, True])
def test_results_and_gradients_are_torchvisions(ratio: int, order: torch.memory_format, aligned: bool) -> None:
    features = torch.randn(IMAGES, CHANNELS, ROWS, COLUMNS).to(memory_format=order)
    mine, theirs = features.clone().requires_grad_(), features.clone().requires_grad_()
    found = gathered(mine, some_regions(), stride=STRIDE, side=3, sampling_ratio=ratio, aligned=aligned)
    expected = torchvision_roi_align(theirs, some_regions(), 3, 1 / STRIDE, ratio, aligned=aligned)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    weights = torch.randn_like(expected)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-5)


def test_bfloat16_is_accumulated_in_float32() -> None:
    features = torch.randn(IMAGES, CHANNELS, ROWS, COLUMNS).bfloat16()
    found = gathered(features, some_regions(), stride=STRIDE, side=3, sampling_ratio=2)
    expected = torchvision_roi_align(features.float(), some_regions(), 3, 1 / STRIDE, 2, aligned=False)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected, rtol=0.02, atol=0.02)  # 8 significant bits: 0.004 of 1


def test_the_same_bits_in_every_run() -> None:
    features = torch.randn(IMAGES, CHANNELS, ROWS, COLUMNS, requires_grad=True)
    gradients: list[Tensor | None] = []
    for _ in range(2):
        features.grad = None
        gathered(features, some_regions(), stride=STRIDE, side=3, sampling_ratio=2).square().sum().backward()
        gradients.append(features.grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    assert torch.equal(gradients[0], gradients[1])


def test_no_regions() -> None:
    features = torch.randn(IMAGES, CHANNELS, ROWS, COLUMNS, requires_grad=True)
    pooled = gathered(features, torch.zeros(0, 5), stride=STRIDE, side=3, sampling_ratio=2)
    assert pooled.shape == (0, CHANNELS, 3, 3)
    pooled.sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() == 0


def test_each_region_reads_its_own_level() -> None:
    strides = (4, 8, 16)
    features = [torch.randn(IMAGES, CHANNELS, 36 // stride, 52 // stride) for stride in strides]
    regions = some_regions()
    levels = torch.arange(len(regions)) % len(strides)
    for aligned in (False, True):
        found = gather_roi_align(features, regions, levels, strides=strides, side=3, sampling_ratio=2, aligned=aligned)
        for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
            chosen = levels == level
            expected = torchvision_roi_align(feature, regions[chosen], 3, 1 / stride, 2, aligned=aligned)
            torch.testing.assert_close(found[chosen], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_choice_has_the_results_of_the_plain_operation(ratio: int, order: torch.memory_format) -> None:
    strides, regions = (4, 8), some_regions()
    features = [torch.randn(IMAGES, CHANNELS, 36 // stride, 52 // stride).to(memory_format=order) for stride in strides]
    levels = torch.arange(len(regions)) % 2

    def pooled_by(align: Callable[..., Tensor]) -> Tensor:
        return align(features, regions, levels, strides=strides, side=3, sampling_ratio=ratio)

    found, expected = pooled_by(roi_align_levels), pooled_by(plain.roi_align_levels)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        exact = torch.equal(pooled_by(roi_align_levels), pooled_by(plain.roi_align_levels))
    assert exact == (ratio == 0 or order == torch.contiguous_format)


def test_gathering_is_for_training_and_for_channels_last_features_on_a_cpu() -> None:
    feature = torch.zeros(1, 2, 3, 3)
    assert gather_pays(feature, 2)
    assert not gather_pays(feature, 0)
    assert not gather_pays(feature.to("meta"), 2)
    with torch.no_grad():
        assert not gather_pays(feature, 2)
        assert gather_pays(feature.to(memory_format=torch.channels_last), 2)
        assert gather_pays(feature.bfloat16(), 2)
