"""Fused operations are tried one by one, as detectors call them; only those with the right numbers count as working."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.testing import assert_close

from faster_rcnn.kernels import fused_layers
from faster_rcnn.kernels.fused_layers import (
    CONVOLUTION,
    DEPTHWISE,
    GROUPED,
    LINEAR,
    OPERATIONS,
    Operation,
    fused_works,
    result_or_none,
    trials,
)
from faster_rcnn.kernels.onednn_layers import ACTIVATIONS, NO_ACTIVATION, RELU, Activation, FusedConv2d

RELU6 = ACTIVATIONS[nn.ReLU6]


@pytest.fixture
def without_earlier_trials() -> Iterator[None]:
    """Forget the results of earlier trials, and those of this test afterwards."""
    fused_works.cache_clear()
    yield
    fused_works.cache_clear()


def test_the_operation_of_a_layer() -> None:
    assert Operation.of(nn.Conv2d(4, 8, 1), RELU) == Operation(CONVOLUTION, RELU)
    assert Operation.of(nn.Conv2d(4, 8, 1), NO_ACTIVATION, adds=True) == Operation(CONVOLUTION, adds=True)
    assert Operation.of(nn.Conv2d(4, 8, 1, groups=2), RELU) == Operation(GROUPED, RELU)
    assert Operation.of(Conv2dSame(4, 8, 3, groups=4), RELU6) == Operation(DEPTHWISE, RELU6)
    assert Operation.of(nn.Linear(4, 8), RELU) == Operation(LINEAR, RELU)


def test_every_operation_of_a_detector_is_listed_once() -> None:
    # 3 kinds of convolutions with 5 activations (none, ReLU, ReLU6, hard swish, SiLU), the same 3 with a sum and one of
    # 2 activations after it, and fully connected layers with one of 2.
    assert len(set(OPERATIONS)) == len(OPERATIONS) == 3 * 5 + 3 * 2 + 2


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_trials_are_of_their_operation_and_bfloat16_holds_their_numbers(operation: Operation) -> None:
    found = list(trials(operation))
    assert [each.input.ndim for each in found] == ([2] if operation.kind == LINEAR else [4, 4])
    for each in found:
        assert Operation.of(each.layer, operation.activation, adds=each.added is not None) == operation
        for numbers in (each.input, *each.layer.parameters(), *(() if each.added is None else (each.added,))):
            assert_close(numbers.bfloat16().float(), numbers, rtol=0, atol=0)
        # Enough of the results reach what an activation changes.
        assert float(each.expected.max()) > 2
        assert bool((each.expected < 0).any()) == (operation.activation.name in ("none", "hardswish", "swish"))
        assert (float(each.expected.max()) == 6) == (operation.activation == RELU6)


def test_a_trial_by_hand() -> None:
    [trial] = trials(Operation(LINEAR, RELU))
    weight, bias = trial.layer.parameters()
    assert_close(trial.expected, (trial.input @ weight.T + bias).clamp(min=0), rtol=0, atol=1e-5)


@pytest.mark.usefixtures("without_earlier_trials")
def test_trials_pass_maps_as_detectors_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum is tried with a map of its own, in the precision of the trial, which the operation may overwrite."""
    calls: list[tuple[Tensor, Tensor | None]] = []

    def keep(layer: FusedConv2d, features: Tensor, other: Tensor | None = None) -> Tensor:
        assert layer.weight.dtype == layer.bias.dtype == features.dtype
        calls.append((features, other))
        raise RuntimeError("no such operator")

    monkeypatch.setattr(FusedConv2d, "forward", keep)
    assert not fused_works(Operation(DEPTHWISE, RELU), torch.bfloat16)
    assert not fused_works(Operation(CONVOLUTION, RELU, adds=True), torch.float32)
    assert [(read.dtype, None if other is None else other.dtype) for read, other in calls] == [
        (torch.bfloat16, None),
        (torch.float32, torch.float32),
    ]


@pytest.mark.usefixtures("without_earlier_trials")
@pytest.mark.parametrize("missing", [Operation(CONVOLUTION, RELU, adds=True), Operation(CONVOLUTION, RELU6)])
def test_each_operation_is_tried_by_itself(missing: Operation, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails leaves the others, and one that gives other numbers does not count as one that works."""

    def compute(layer: FusedConv2d, features: Tensor, other: Tensor | None = None) -> Tensor:
        if Operation(CONVOLUTION, layer.activation, other is not None) == missing:
            raise RuntimeError("Unsupported datatype")
        geometry = layer.geometry
        result = nn.functional.conv2d(features, layer.weight, layer.bias, 1, geometry.padding, 1, geometry.groups)
        result = result if other is None else result + other
        wrong = {"none": nn.Identity(), "relu": nn.ReLU(), "hardtanh": nn.ReLU6(), "swish": nn.Sigmoid()}
        found: Tensor = wrong.get(layer.activation.name, nn.Hardswish())(result)
        return found

    monkeypatch.setattr(FusedConv2d, "forward", compute)
    for precision in (torch.float32, torch.bfloat16):
        found = {each for each in OPERATIONS if each.kind == CONVOLUTION and fused_works(each, precision)}
        of_convolutions = {each for each in OPERATIONS if each.kind == CONVOLUTION}
        assert found == of_convolutions - {missing, Operation(CONVOLUTION, Activation("swish"))}


@pytest.mark.usefixtures("without_earlier_trials")
def test_an_operation_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Operation] = []

    def count(operation: Operation, *_: object) -> bool:
        tried.append(operation)
        return True

    monkeypatch.setattr(fused_layers, "matches_expected", count)
    assert [fused_works(Operation(LINEAR), torch.float32) for _ in range(3)] == [True] * 3
    assert tried == [Operation(LINEAR)]


def test_nan_is_not_a_right_number() -> None:
    def nothing(sample: fused_layers.Trial) -> Tensor:
        return torch.full_like(sample.expected, torch.nan)

    assert not fused_layers.matches_expected(Operation(LINEAR), nothing, 1.0)
    assert fused_layers.matches_expected(Operation(LINEAR), lambda sample: sample.expected, 0.0)


def test_a_missing_operator_has_no_result() -> None:
    assert result_or_none(lambda: torch.ops.mkldnn.no_such_operator(torch.zeros(1))) is None
    assert result_or_none(lambda: torch.zeros(2) @ torch.zeros(3)) is None


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("adds", "after"), [(False, "none"), (False, "relu"), (True, "none"), (True, "relu")])
def test_trials_agree_with_the_bare_operators(precision: torch.dtype, adds: bool, after: str) -> None:
    """Called on maps that are all in channels-last memory format, on whatever processor this is."""
    weight = torch.full((16, 16, 1, 1), 0.25, dtype=precision)
    read, other = (torch.ones(1, 16, 4, 5, dtype=precision).to(memory_format=torch.channels_last) for _ in range(2))
    shape: tuple[list[int], ...] = ([0, 0], [1, 1], [1, 1])

    def call() -> Tensor:
        bias = torch.full((16,), -5.5, dtype=precision)
        packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *shape, 1, [1, 16, 4, 5])
        if not adds:
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(read, packed, bias, *shape, 1, after, [], "")
            return result
        last = None if after == "none" else after
        total: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            other, read, packed, bias, *shape, 1, "add", 1.0, last, [], ""
        )
        return total

    # 16 channels of 1 by 0.25 are 4, less 5.5, and plus 1 with the sum.
    expected = (-0.5 if adds else -1.5) if after == "none" else 0.0
    found = result_or_none(call)
    works = found is not None and bool((found == expected).all())
    assert fused_works(Operation(CONVOLUTION, Activation(after), adds), precision) == works
