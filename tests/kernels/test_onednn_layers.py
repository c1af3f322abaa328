"""Fused convolutions, in floats and in 8 bits, do what the layers do that they take the place of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.testing import assert_close

from faster_rcnn.kernels import int8_layers
from faster_rcnn.kernels.fused_layers import OPERATIONS, fused_works
from faster_rcnn.kernels.int8_layers import Dequantize, Int8Conv2d, Int8Linear, Quantize, Range
from faster_rcnn.kernels.onednn_layers import (
    ACTIVATIONS,
    NO_ACTIVATION,
    RELU,
    SIMPLE_ACTIVATIONS,
    Activation,
    FusedConv2d,
    FusedLinear,
    PackedWeightCache,
    can_fuse,
)

needs_fused = pytest.mark.skipif(
    not all(fused_works(each, torch.float32) for each in OPERATIONS), reason="oneDNN lacks fused operations here"
)
needs_8_bits = pytest.mark.skipif(int8_layers.weight_limit() == 0, reason="oneDNN has no convolutions in 8 bits here")

CONVOLUTIONS = {
    "3x3": nn.Conv2d(4, 6, 3, padding=1),
    "1x1 without bias": nn.Conv2d(4, 6, 1, bias=False),
    "stride 2": nn.Conv2d(4, 6, 3, stride=2, padding=1),
    "dilated": nn.Conv2d(4, 6, 3, padding=2, dilation=2),
    "in groups": nn.Conv2d(4, 8, 3, padding=1, groups=2),
    "depthwise": nn.Conv2d(8, 8, 5, padding=2, groups=8),
    "1x7": nn.Conv2d(4, 6, (1, 7), padding=(0, 3)),
    "SAME 3x3": Conv2dSame(8, 8, 3, stride=2, groups=8),
    "SAME 5x5": Conv2dSame(4, 6, 5, stride=2),
    "SAME of stride 1": Conv2dSame(4, 6, 4),
}


def started(conv: nn.Conv2d) -> nn.Conv2d:
    generator = torch.Generator().manual_seed(0)
    for each in conv.parameters():
        nn.init.uniform_(each, -0.5, 0.5, generator=generator)
    return conv.requires_grad_(False)


def features(conv: nn.Conv2d, rows: int = 10, columns: int = 12, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, conv.in_channels, rows, columns, generator=generator)


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
def test_each_activation(layer: type[nn.Module]) -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    with torch.no_grad():
        conv.weight.mul_(5)  # so that some of it is beyond 6
    read = features(conv)
    assert_close(FusedConv2d(conv, ACTIVATIONS[layer])(read), layer()(conv(read)), rtol=1e-4, atol=1e-4)


@needs_fused
@pytest.mark.parametrize("activation", SIMPLE_ACTIVATIONS)
def test_a_sum_is_made_in_the_place_of_its_second_term(activation: Activation) -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    read, other = features(conv), 3 * torch.randn(2, 6, 10, 12)
    expected = conv(read) + other
    place = other.clone().to(memory_format=torch.channels_last)
    found = FusedConv2d(conv, activation)(read, place)
    assert_close(found, expected.relu() if activation == RELU else expected, rtol=1e-4, atol=1e-4)
    assert found.data_ptr() == place.data_ptr()


@needs_fused
def test_a_sum_with_a_map_in_any_order_of_memory() -> None:
    conv = started(nn.Conv2d(4, 6, 3, padding=1))
    read, other = features(conv), torch.randn(2, 6, 10, 12)
    expected = conv(read) + other
    for place in (other.clone(), other.clone().to(memory_format=torch.channels_last), other.mT.contiguous().mT):
        assert_close(FusedConv2d(conv, NO_ACTIVATION)(read, place), expected, rtol=1e-4, atol=1e-4)


@needs_fused
def test_weights_are_packed_anew_for_other_shapes_and_few_are_kept() -> None:
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
def test_what_is_not_fused(layer: nn.Module) -> None:
    assert not can_fuse(layer)


def test_a_range_and_its_whole_numbers() -> None:
    one = Range(-1.0, 4.1)
    assert one.scale == pytest.approx(0.02)
    assert one.zero_point == 50
    read = torch.tensor([-3.0, -1.0, 0.0, 0.011, 4.1, 99.0])
    whole = Quantize(one)(read)
    assert whole.tolist() == [0, 0, 50, 51, 255, 255]
    assert_close(Dequantize(one, torch.float32)(whole), torch.tensor([-1.0, -1.0, 0.0, 0.02, 4.1, 4.1]))
    assert Dequantize(one, torch.bfloat16)(whole).dtype == torch.bfloat16
    assert one.including(torch.tensor([-2.0, 3.0])) == Range(-2.0, 4.1)


def range_of(*maps: Tensor) -> Range:
    found = int8_layers.EMPTY_RANGE
    for each in maps:
        found = found.including(each)
    return found


@needs_8_bits
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("sides", [(10, 12), (9, 11)])
def test_a_convolution_in_8_bits_is_nearly_the_convolution(name: str, sides: tuple[int, int]) -> None:
    conv = started(CONVOLUTIONS[name])
    read = features(conv, *sides)
    expected = conv(read).relu()
    reads, gives = range_of(read), range_of(expected)
    whole = Quantize(reads)(read)
    as_float = Int8Conv2d(FusedConv2d(conv, RELU), reads, None, None, torch.float32)(whole)
    as_whole = Int8Conv2d(FusedConv2d(conv, RELU), reads, gives, None, torch.float32)(whole)
    # Half a step of each feature and weight, over all that a position reads; in practice far less.
    near = 0.03 * float(expected.max())
    assert as_float.dtype == torch.float32
    assert as_whole.dtype == torch.uint8
    assert_close(as_float, expected, rtol=0, atol=near)
    assert_close(Dequantize(gives, torch.float32)(as_whole), expected, rtol=0, atol=near + gives.scale)


@needs_8_bits
def test_a_sum_in_8_bits() -> None:
    conv = started(nn.Conv2d(8, 8, 3, padding=1))
    read, other = features(conv), torch.randn(2, 8, 10, 12)
    expected = (conv(read) + other).relu()
    reads, adds, gives = range_of(read), range_of(other), range_of(expected)
    layer = Int8Conv2d(FusedConv2d(conv, RELU), reads, gives, adds, torch.float32)
    place = Quantize(adds)(other).to(memory_format=torch.channels_last)
    found = layer(Quantize(reads)(read).to(memory_format=torch.channels_last), place)
    assert_close(Dequantize(gives, torch.float32)(found), expected, rtol=0, atol=0.03 * float(expected.max()))


@needs_8_bits
def test_a_fully_connected_layer_in_8_bits() -> None:
    layer = nn.Linear(64, 10).requires_grad_(False)
    read = torch.randn(5, 64)
    reads = range_of(read)
    for activation, expected in ((NO_ACTIVATION, layer(read)), (RELU, layer(read).relu())):
        found = Int8Linear(FusedLinear(layer, activation), reads, torch.float32)(Quantize(reads)(read))
        assert_close(found, expected, rtol=0, atol=0.05)


@needs_fused
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_fully_connected_layer(bias: bool) -> None:
    layer = nn.Linear(64, 10, bias=bias).requires_grad_(False)
    fused = FusedLinear(layer, RELU)
    for rows in (0, 5, 300, 0, 1):
        read = torch.randn(rows, 64)
        assert_close(fused(read), layer(read).relu(), rtol=1e-5, atol=1e-5)


@needs_8_bits
def test_sums_of_products_are_exact_up_to_the_limit_of_weights() -> None:
    limit = int8_layers.exact_limit()
    assert limit in (int8_layers.FULL_WEIGHTS, int8_layers.SAFE_WEIGHTS)
    conv = nn.Conv2d(64, 64, 3, bias=False).requires_grad_(False)
    nn.init.ones_(conv.weight)
    read = torch.full((1, 64, 5, 5), 255, dtype=torch.uint8)
    layer = Int8Conv2d(FusedConv2d(conv, NO_ACTIVATION), Range(0.0, 255.0), None, None, torch.float32)
    assert_close(layer(read), torch.full((1, 64, 3, 3), 255.0 * 64 * 9))


@pytest.fixture
def tried_anew() -> Iterator[None]:
    """Nothing is remembered of earlier trials, nor of these ones afterwards."""
    trials = (
        int8_layers.weight_limit,
        int8_layers.exact_limit,
        int8_layers.int8_works,
    )  # before a test replaces some
    for each in trials:
        each.cache_clear()
    yield
    for each in trials:
        each.cache_clear()


@pytest.mark.usefixtures("tried_anew")
def test_without_operators_in_8_bits_there_is_no_limit_of_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_layers, "result_or_none", lambda work: None)
    assert int8_layers.weight_limit() == 0
    assert not any(int8_layers.int8_works(each) for each in OPERATIONS)


@pytest.mark.skipif(int8_layers.exact_limit() == 0, reason="oneDNN has no convolutions in 8 bits here")
@pytest.mark.usefixtures("tried_anew")
def test_trials_in_8_bits_pass_with_the_smaller_weights_of_some_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_layers, "exact_limit", lambda: int8_layers.SAFE_WEIGHTS)
    assert [each for each in OPERATIONS if not int8_layers.int8_works(each)] == []
    assert int8_layers.weight_limit() == int8_layers.SAFE_WEIGHTS


@needs_8_bits
@pytest.mark.usefixtures("tried_anew")
@pytest.mark.parametrize("missing", ["sum", "depthwise", "linear"])
def test_where_one_operation_is_missing_in_8_bits_there_is_no_limit_of_weights(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that fails where it is called, and one that gives other numbers."""
    conv, linear = Int8Conv2d.forward, Int8Linear.forward

    def convolve(layer: Int8Conv2d, features: Tensor, other: Tensor | None = None) -> Tensor:
        if missing == ("sum" if other is not None else "depthwise" if layer.form.groups > 2 else "conv"):
            raise RuntimeError("no such operator")
        return conv(layer, features, other)

    def connect(layer: Int8Linear, vectors: Tensor) -> Tensor:
        return linear(layer, vectors) * (2 if missing == "linear" else 1)

    monkeypatch.setattr(Int8Conv2d, "forward", convolve)
    monkeypatch.setattr(Int8Linear, "forward", connect)
    found = {each for each in OPERATIONS if not int8_layers.int8_works(each)}
    assert found == {each for each in OPERATIONS if each.name == missing}
    assert int8_layers.weight_limit() == 0
    assert int8_layers.exact_limit() > 0
