"""The top-down path with numbers one can add up, and the shapes of every level."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.testing import assert_close

from faster_rcnn.backbone.pyramid import FeaturePyramid
from tiny import tiny_model


def identity_pyramid(levels: int) -> FeaturePyramid:
    """A pyramid of one channel whose convolutions return their input."""
    pyramid = FeaturePyramid([1] * levels, channels=1, norm=False)
    with torch.no_grad():
        for layer in pyramid.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.zero_()
                middle = layer.kernel_size[0] // 2
                layer.weight[0, 0, middle, middle] = 1
    return pyramid


def test_each_level_adds_the_coarser_one_enlarged() -> None:
    fine = torch.arange(16.0).reshape(1, 1, 4, 4)
    coarse = torch.tensor([[[[100.0, 200.0], [300.0, 400.0]]]])
    levels = identity_pyramid(2)([fine, coarse])
    # Each coarse feature stands over a 2 x 2 block of the fine map.
    added = torch.tensor([[100.0, 100, 200, 200], [100, 100, 200, 200], [300, 300, 400, 400], [300, 300, 400, 400]])
    assert len(levels) == 3
    assert_close(levels[0][0, 0], fine[0, 0] + added)
    assert_close(levels[1], coarse)
    # The last level is every second feature of the coarsest.
    assert_close(levels[2][0, 0], torch.tensor([[100.0]]))


def test_three_levels_add_up_from_the_top() -> None:
    ones = [torch.ones(1, 1, side, side) for side in (4, 2, 1)]
    assert [float(level.detach().max()) for level in identity_pyramid(3)(ones)] == [3.0, 2.0, 1.0, 1.0]


def test_levels_need_not_be_half_as_large_as_the_one_before() -> None:
    # Nearest neighbour to 5: source column floor(5 -> 3 scale 0.6): 0, 0.6, 1.2, 1.8, 2.4 -> 0, 0, 1, 1, 2.
    fine, coarse = torch.zeros(1, 1, 1, 5), torch.tensor([[[[1.0, 2.0, 3.0]]]])
    assert_close(identity_pyramid(2)([fine, coarse])[0][0, 0], torch.tensor([[1.0, 1.0, 2.0, 2.0, 3.0]]))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (128, 32)])
def test_one_map_for_each_stride(height: int, width: int) -> None:
    backbone = tiny_model().backbone
    assert backbone.strides == (4, 8, 16, 32, 64)
    shapes = [tuple(each.shape) for each in backbone(torch.zeros(2, 3, height, width))]
    assert shapes == [(2, 16, -(-height // stride), -(-width // stride)) for stride in backbone.strides]


def test_a_norm_replaces_the_bias() -> None:
    with_norm, without = (FeaturePyramid([4, 8], 16, norm) for norm in (True, False))
    convolutions = [layer for layer in with_norm.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 4
    assert all(layer.bias is None for layer in convolutions)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in without.modules())
    assert not any(bool(bias.any()) for bias in biases_of(without))


def biases_of(pyramid: FeaturePyramid) -> list[Tensor]:
    layers = [layer for layer in pyramid.modules() if isinstance(layer, nn.Conv2d)]
    biases = [layer.bias for layer in layers if layer.bias is not None]
    assert len(biases) == len(layers)
    return biases


def test_batches_are_padded_to_the_stride_of_the_body() -> None:
    backbone = tiny_model().backbone
    assert backbone.strides == (4, 8, 16, 32, 64)[-len(backbone.strides) :]
    assert backbone.stride == backbone.strides[-2]  # the subsampled level rounds up


def test_the_finest_levels_may_have_no_convolution_after_the_sum() -> None:
    body = [torch.rand(1, 3, side, side) for side in (8, 4, 2)]
    pyramid = FeaturePyramid([3, 3, 3], channels=2, norm=False, plain=2)
    laterals = [layer(feature) for layer, feature in zip(pyramid.lateral, body, strict=True)]
    merged = [laterals[1] + interpolate(laterals[2], scale_factor=2.0, mode="nearest")]
    merged.insert(0, laterals[0] + interpolate(merged[0], scale_factor=2.0, mode="nearest"))
    levels = pyramid(body)
    assert_close(levels[:2], merged)
    assert_close(levels[2], pyramid.output[2](laterals[2]))
    assert [name for name, _ in pyramid.output.named_parameters()] == ["2.0.weight", "2.0.bias"]
