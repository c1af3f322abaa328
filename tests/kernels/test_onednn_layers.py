"""Fused layers compute what the layers that they replace compute, on any shape, and keep few packed weights."""

from __future__ import annotations

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn
from torch.testing import assert_close

from convolutions import CONVOLUTIONS, features, started
from faster_rcnn.kernels.fused_layers import OPERATIONS, fused_works
from faster_rcnn.kernels.onednn_layers import (
    ACTIVATIONS,
    NO_ACTIVATION,
    RELU,
    SIMPLE_ACTIVATIONS,
    Activation,
    ConvGeometry,
    ConvPadding,
    FusedConv2d,
    FusedLinear,
    PackedWeightCache,
    can_fuse,
)

needs_fused = pytest.mark.skipif(
    not all(fused_works(each, torch.float32) for each in OPERATIONS), reason="oneDNN lacks fused operations here"
)


@needs_fused
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("sides", [(10, 12), (9, 12), (10, 7), (9, 11)])
def test_a_fused_convolution_is_the_convolution(name: str, sides: tuple[int, int]) -> None:
    conv = started(CONVOLUTIONS[name])
    assert can_fuse(conv)
    read = features(conv, *sides)
    expected = conv(read)
    assert_close(FusedConv2d(conv, NO_ACTIVATION)(read), expected, rtol=1e-5, atol=1e-5)
    assert_close(FusedConv2d(conv, RELU)(read), expected.relu(), rtol=1e-5, atol=1e-5)


@needs_fused
@pytest.mark.parametrize("layer", [nn.ReLU, nn.ReLU6, nn.Hardswish, nn.SiLU])
def test_every_activation_after_a_fused_convolution(layer: type[nn.Module]) -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    with torch.no_grad():
        conv.weight.mul_(5)  # so that some of it is beyond 6
    read = features(conv)
    assert_close(FusedConv2d(conv, ACTIVATIONS[layer])(read), layer()(conv(read)), rtol=1e-4, atol=1e-4)


@needs_fused
@pytest.mark.parametrize("activation", SIMPLE_ACTIVATIONS)
def test_a_sum_is_written_into_its_second_term(activation: Activation) -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    read, other = features(conv), 3 * torch.randn(2, 6, 10, 12)
    expected = conv(read) + other
    place = other.clone().to(memory_format=torch.channels_last)
    found = FusedConv2d(conv, activation)(read, place)
    assert_close(found, expected.relu() if activation == RELU else expected, rtol=1e-4, atol=1e-4)
    assert found.data_ptr() == place.data_ptr()


@needs_fused
def test_a_sum_with_a_map_in_any_memory_format() -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    read, other = features(conv), torch.randn(2, 6, 10, 12)
    expected = conv(read) + other
    for place in (other.clone(), other.clone().to(memory_format=torch.channels_last), other.mT.contiguous().mT):
        assert_close(FusedConv2d(conv, NO_ACTIVATION)(read, place), expected, rtol=1e-4, atol=1e-4)


@needs_fused
def test_weights_are_packed_again_for_other_shapes_and_few_are_kept() -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    fused = FusedConv2d(conv, NO_ACTIVATION)
    shapes = [(10, 12), (12, 10), (10, 12), (7, 5), (12, 10)]
    for number, (rows, columns) in enumerate(shapes):
        read = features(conv, rows, columns, seed=number)
        assert_close(fused(read), conv(read), rtol=1e-5, atol=1e-5)
    packed = PackedWeightCache()
    orders = [packed.get(torch.Size([side]), lambda: torch.zeros(1)) for side in (1, 2, 1, 3, 1, 2)]
    assert orders[0] is orders[2] is orders[4]
    assert orders[1] is not orders[5]


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        Conv2dSame(4, 4, 3, dilation=2),
        nn.ConvTranspose2d(4, 4, 3),
        nn.Linear(4, 4),
    ],
)
def test_layers_that_cannot_be_fused(layer: nn.Module) -> None:
    assert not can_fuse(layer)


@needs_fused
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_fully_connected_layer(bias: bool) -> None:
    layer = nn.Linear(64, 10, bias=bias).requires_grad_(False)
    fused = FusedLinear(layer, RELU)
    for rows in (0, 5, 300, 0, 1):
        read = torch.randn(rows, 64)
        assert_close(fused(read), layer(read).relu(), rtol=1e-5, atol=1e-5)


def test_padding_that_is_longer_at_the_end_is_moved_to_both_sides_and_into_the_kernel() -> None:
    """SAME of 4 columns, kernel 3, stride 2: 2 outputs reach (2 - 1) * 2 + 3 = 5 columns, one more at the end."""
    geometry = ConvGeometry.of(Conv2dSame(1, 1, 3, stride=2))
    padding = geometry.padding_for(torch.zeros(1, 1, 5, 4))
    # Of 5 rows 3 outputs reach 7: one row on either side, as it is.
    assert padding == ConvPadding(both_sides=(1, 1), extra=(0, 1))
    weight = torch.tensor([[1.0, 2, 3]]).reshape(1, 1, 1, 3)
    assert padding.extended(weight).tolist() == [[[[0, 1, 2, 3]]]]
