"""Depthwise convolutions with a backward pass of their own agree with PyTorch's."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from faster_rcnn.kernels.depthwise import DepthwiseConv2d, replace_slow_depthwise


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 2), (5, 2)])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("half", [False, True])
def test_forwards_and_backwards(kernel: int, stride: int, same: bool, half: bool) -> None:
    kind = Conv2dSame if same else nn.Conv2d
    plain = kind(6, 6, kernel, stride, 0 if same else kernel // 2, groups=6, bias=False)
    fast = DepthwiseConv2d(copy.deepcopy(plain))
    features = torch.randn(2, 6, 11, 14)
    results: list[tuple[Tensor, Tensor | None, Tensor | None]] = []
    for layer in (plain, fast):
        layer.weight.grad = None
        given = features.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            output = layer(given)
        output.float().square().sum().backward()
        results.append((output.float(), given.grad, layer.weight.grad))
    rtol, atol = (0.05, 0.3) if half else (1e-5, 1e-5)
    for mine, theirs in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=rtol, atol=atol)
    gradient = results[1][2]
    assert gradient is not None
    assert gradient.dtype == torch.float32


def test_only_slow_depthwise_convolutions_are_replaced_and_names_stay() -> None:
    layers = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=4, bias=False),  # 3x3 of stride 1 is fast
        nn.Conv2d(4, 4, 5, groups=4, bias=False),
        nn.Conv2d(4, 8, 5, bias=False),  # not depthwise
        nn.Conv2d(8, 8, 3, 2, groups=8, bias=False),
    )
    names = list(layers.state_dict())
    replace_slow_depthwise(layers)
    assert [isinstance(layer, DepthwiseConv2d) for layer in layers] == [False, True, False, True]
    assert list(layers.state_dict()) == names
