"""int8 layers compute nearly what the layers that they replace compute, and their sums of products are exact."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from convolutions import CONVOLUTIONS, features, started
from faster_rcnn.kernels import int8_layers
from faster_rcnn.kernels.fused_layers import OPERATIONS
from faster_rcnn.kernels.int8_layers import Dequantize, Int8Conv2d, Int8Linear, Quantize, Range
from faster_rcnn.kernels.onednn_layers import NO_ACTIVATION, RELU, FusedConv2d, FusedLinear

needs_int8 = pytest.mark.skipif(int8_layers.weight_limit() == 0, reason="oneDNN has no int8 convolutions here")


def test_a_range_and_its_integers() -> None:
    one = Range(-1.0, 4.1)
    assert one.scale == pytest.approx(0.02)
    assert one.zero_point == 50
    read = torch.tensor([-3.0, -1.0, 0.0, 0.011, 4.1, 99.0])
    integers = Quantize(one)(read)
    assert integers.tolist() == [0, 0, 50, 51, 255, 255]
    assert_close(Dequantize(one, torch.float32)(integers), torch.tensor([-1.0, -1.0, 0.0, 0.02, 4.1, 4.1]))
    assert Dequantize(one, torch.bfloat16)(integers).dtype == torch.bfloat16
    assert one.including(torch.tensor([-2.0, 3.0])) == Range(-2.0, 4.1)


def range_of(*maps: Tensor) -> Range:
    found = int8_layers.EMPTY_RANGE
    for each in maps:
        found = found.including(each)
    return found


@needs_int8
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("sides", [(10, 12), (9, 11)])
def test_an_int8_convolution_is_nearly_the_convolution(name: str, sides: tuple[int, int]) -> None:
    conv = started(CONVOLUTIONS[name])
    read = features(conv, *sides)
    expected = conv(read).relu()
    reads, gives = range_of(read), range_of(expected)
    integers = Quantize(reads)(read)
    as_float = Int8Conv2d(FusedConv2d(conv, RELU), reads, None, None, torch.float32)(integers)
    quantized = Int8Conv2d(FusedConv2d(conv, RELU), reads, gives, None, torch.float32)(integers)
    # Half a step of each feature and weight, over all that a position reads; in practice far less.
    near = 0.03 * float(expected.max())
    assert as_float.dtype == torch.float32
    assert quantized.dtype == torch.uint8
    assert_close(as_float, expected, rtol=0, atol=near)
    assert_close(Dequantize(gives, torch.float32)(quantized), expected, rtol=0, atol=near + gives.scale)


@needs_int8
def test_a_sum_in_int8() -> None:
    conv = started(nn.Conv2d(8, 8, 3, padding=1))
    read, other = features(conv), torch.randn(2, 8, 10, 12)
    expected = (conv(read) + other).relu()
    reads, adds, gives = range_of(read), range_of(other), range_of(expected)
    layer = Int8Conv2d(FusedConv2d(conv, RELU), reads, gives, adds, torch.float32)
    place = Quantize(adds)(other).to(memory_format=torch.channels_last)
    found = layer(Quantize(reads)(read).to(memory_format=torch.channels_last), place)
    assert_close(Dequantize(gives, torch.float32)(found), expected, rtol=0, atol=0.03 * float(expected.max()))


@needs_int8
def test_a_fully_connected_layer_in_int8() -> None:
    layer = nn.Linear(64, 10).requires_grad_(False)
    read = torch.randn(5, 64)
    reads = range_of(read)
    for activation, expected in ((NO_ACTIVATION, layer(read)), (RELU, layer(read).relu())):
        found = Int8Linear(FusedLinear(layer, activation), reads, torch.float32)(Quantize(reads)(read))
        assert_close(found, expected, rtol=0, atol=0.05)


@needs_int8
def test_sums_of_products_are_exact_up_to_the_weight_limit() -> None:
    limit = int8_layers.exact_limit()
    assert limit in (int8_layers.FULL_WEIGHTS, int8_layers.SAFE_WEIGHTS)
    conv = nn.Conv2d(64, 64, 3, bias=False).requires_grad_(False)
    nn.init.ones_(conv.weight)
    read = torch.full((1, 64, 5, 5), 255, dtype=torch.uint8)
    layer = Int8Conv2d(FusedConv2d(conv, NO_ACTIVATION), Range(0.0, 255.0), None, None, torch.float32)
    assert_close(layer(read), torch.full((1, 64, 3, 3), 255.0 * 64 * 9))


@pytest.fixture
def without_earlier_trials() -> Iterator[None]:
    """Forget the results of earlier trials, and those of this test afterwards."""
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


@pytest.mark.usefixtures("without_earlier_trials")
def test_without_int8_operators_the_weight_limit_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_layers, "result_or_none", lambda work: None)
    assert int8_layers.weight_limit() == 0
    assert not any(int8_layers.int8_works(each) for each in OPERATIONS)


@pytest.mark.skipif(int8_layers.exact_limit() == 0, reason="oneDNN has no int8 convolutions here")
@pytest.mark.usefixtures("without_earlier_trials")
def test_int8_trials_pass_with_the_smaller_weights_of_some_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_layers, "exact_limit", lambda: int8_layers.SAFE_WEIGHTS)
    assert [each for each in OPERATIONS if not int8_layers.int8_works(each)] == []
    assert int8_layers.weight_limit() == int8_layers.SAFE_WEIGHTS


@needs_int8
@pytest.mark.usefixtures("without_earlier_trials")
@pytest.mark.parametrize("missing", ["sum", "depthwise", "linear"])
def test_if_one_int8_operation_is_missing_the_weight_limit_is_0(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation is missing if its call fails, or gives other numbers."""
    conv, linear = Int8Conv2d.forward, Int8Linear.forward

    def convolve(layer: Int8Conv2d, features: Tensor, other: Tensor | None = None) -> Tensor:
        if missing == ("sum" if other is not None else "depthwise" if layer.geometry.groups > 2 else "conv"):
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
