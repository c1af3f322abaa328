"""Depthwise convolutions whose bfloat16 backward pass runs in float32 on a CPU.

oneDNN has no fast bfloat16 backward pass for depthwise kernels of 5x5 or of stride 2: float32 is 3 to 10 times faster
there (``benchmarks/depthwise.py``), and these layers took half of a training step of the ``small`` preset.
"""

from __future__ import annotations

from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn.functional import conv2d


class DepthwiseConv2d(nn.Module):
    """Replaces a depthwise ``nn.Conv2d`` without bias, and keeps its weight."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = conv.weight
        self.kernel = conv.kernel_size
        self.stride = conv.stride
        self.padding = (0, 0) if isinstance(conv, Conv2dSame) else _pair(conv.padding)
        self.pads_same = isinstance(conv, Conv2dSame)

    def forward(self, features: Tensor) -> Tensor:
        """(images, channels, rows, columns) to the same channels, each convolved with its own kernel."""
        if self.pads_same:
            features = pad_same(features, list(self.kernel), list(self.stride))
        if features.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return conv2d(features, self.weight, None, self.stride, self.padding, groups=len(self.weight))
        half = torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):
            result: Tensor = _Depthwise.apply(features.to(half), self.weight.to(half), self.stride, self.padding)
        return result


def replace_slow_depthwise(module: nn.Module) -> None:
    """Replace the depthwise convolutions whose backward pass is slow in bfloat16 by ``DepthwiseConv2d``."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and _is_slow(child):
                setattr(parent, name, DepthwiseConv2d(child))


def _is_slow(conv: nn.Conv2d) -> bool:
    depthwise = conv.groups == conv.in_channels == conv.out_channels and conv.dilation == (1, 1) and conv.bias is None
    return depthwise and (max(conv.kernel_size) > 3 or max(conv.stride) > 1)


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution in bfloat16 whose backward pass runs in float32."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        return conv2d(features, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, weight = ctx.saved_tensors
        of_features, of_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            features.float(),
            weight.float(),
            None,
            ctx.stride,
            ctx.padding,
            (1, 1),
            False,
            (0, 0),
            len(weight),
            (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False),
        )
        # Autograd requires the types of the inputs; the cast that made the weight bfloat16 restores its own type.
        half = features.dtype
        return (
            None if of_features is None else of_features.to(half),
            None if of_weight is None else of_weight.to(half),
            None,
            None,
        )


def _pair(padding: Any) -> tuple[int, int]:
    return (int(padding[0]), int(padding[1]))
