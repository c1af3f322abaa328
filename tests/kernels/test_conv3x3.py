"""The gradient of a 3x3 convolution as matrix products agrees with PyTorch's, and is taken where it is faster."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from faster_rcnn.kernels.conv3x3 import Conv3x3, conv3x3, replace_conv3x3, weight_gradient


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (2, 4, 5, 7), (3, 4, 1, 6), (2, 4, 6, 1)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_weight_gradient_is_the_one_of_autograd(
    shape: tuple[int, int, int, int], memory_format: torch.memory_format
) -> None:
    features = torch.randn(shape, dtype=torch.float64).to(memory_format=memory_format)
    conv = nn.Conv2d(4, 6, 3, padding=1, dtype=torch.float64)
    gradient = torch.randn(shape[0], 6, *shape[2:], dtype=torch.float64).to(memory_format=memory_format)
    conv(features).backward(gradient)
    assert_close(weight_gradient(features, gradient), conv.weight.grad)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("of_features", [True, False])
def test_both_gradients_agree(monkeypatch: pytest.MonkeyPatch, bias: bool, of_features: bool) -> None:
    plain = nn.Sequential(nn.Conv2d(16, 24, 3, padding=1, bias=bias))
    fast = copy.deepcopy(plain)
    replace_conv3x3(fast)
    taken = count_gradients(monkeypatch)
    features = torch.randn(2, 16, 24, 25)
    results: list[list[Tensor | None]] = []
    for layer in (plain, fast):
        given = features.clone().requires_grad_(of_features)
        output = layer(given)
        output.square().sum().backward()
        results.append([output, given.grad, *(each.grad for each in layer.parameters())])
    assert taken == [(2, 16, 24, 25)]
    for mine, theirs in zip(results[1], results[0], strict=True):
        assert_close(mine, theirs, rtol=1e-4, atol=1e-4)


def count_gradients(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the features whose gradient is ``weight_gradient``, on a processor that reports AVX2."""
    taken: list[tuple[int, ...]] = []

    def noted(features: Tensor, gradient: Tensor) -> Tensor:
        taken.append(tuple(features.shape))
        return weight_gradient(features, gradient)

    monkeypatch.setattr("faster_rcnn.kernels.conv3x3.weight_gradient", noted)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    return taken


def test_the_plain_gradient_is_taken_where_ours_is_not_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = count_gradients(monkeypatch)

    def train(conv: nn.Conv2d, rows: int = 24) -> None:
        conv(torch.randn(1, conv.in_channels, rows, 24)).float().sum().backward()

    large = conv3x3(16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        train(large)
    train(large, rows=23)
    train(conv3x3(8, 16))
    train(nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"))
    fixed = conv3x3(16, 16)
    fixed.weight.requires_grad_(False)
    train(fixed)
    assert taken == []
    train(large)
    assert len(taken) == 1
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    train(large)
    assert len(taken) == 1


def test_only_3x3_convolutions_of_stride_1_are_replaced_and_weights_stay() -> None:
    layers = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Conv2d(16, 16, 3, padding=1, groups=2),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 16, 1),
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False)),
    )
    before = dict(layers.named_parameters())
    replace_conv3x3(layers)
    replaced = [name for name, layer in layers.named_modules() if isinstance(layer, Conv3x3)]
    assert replaced == ["0", "7.0"]
    after = dict(layers.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
