"""3x3 convolutions that keep the resolution: what they find beyond the border, and a gradient that is fast on AVX2.

Where a processor has AVX2 and no AVX-512, oneDNN's float32 gradient of the weights of such a convolution, of features
that lie channels last, takes 3 to 7 times as long as the convolution itself, and nearly half of what all convolutions
of ``base`` take in training. ``weight_gradient`` is nine matrix products instead (``benchmarks/convolution.py``).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

Padding = Literal["zeros", "reflect", "replicate", "circular"]

MIN_CHANNELS, MIN_POSITIONS = 16, 24 * 24
"""Below, oneDNN's gradient is as fast as nine small matrix products."""


def conv3x3(inputs: int, outputs: int, padding: Padding, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the resolution; ``padding`` says what lies around the features."""
    if padding == "reflect":
        return _ReflectingConv2d(inputs, outputs, 3, bias=bias)
    if padding == "zeros":
        return Conv3x3(inputs, outputs, 3, padding=1, bias=bias)
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding, bias=bias)


class Conv3x3(nn.Conv2d):
    """A convolution of stride 1 with a border of zeros; it takes the fastest way to its gradient."""

    def forward(self, input: Tensor) -> Tensor:
        """(images, channels, rows, columns)."""
        if self._gradient_is_slow(input):
            result: Tensor = _Convolution.apply(input, self.weight, self.bias)
            return result
        return super().forward(input)

    def _gradient_is_slow(self, features: Tensor) -> bool:
        return (
            torch.is_grad_enabled()
            and self.weight.requires_grad
            and features.device.type == "cpu"
            and features.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and min(self.weight.shape[:2]) >= MIN_CHANNELS
            and features.shape[-2:].numel() >= MIN_POSITIONS
            and torch.backends.cpu.get_cpu_capability() == "AVX2"
        )


def replace_conv3x3(module: nn.Module) -> None:
    """Put a ``Conv3x3`` in the place of every convolution that is one."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and _is_conv3x3(child):
                own = nn.utils.skip_init(
                    Conv3x3, child.in_channels, child.out_channels, 3, padding=1, bias=child.bias is not None
                )
                own.weight, own.bias = child.weight, child.bias
                setattr(parent, name, own)


def _is_conv3x3(conv: nn.Conv2d) -> bool:
    form = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    return form == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return conv2d(features, weight, bias, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        features, weight = ctx.saved_tensors
        of_features, _, of_bias = ctx.needs_input_grad
        to_features = None
        if of_features:
            form = (1, 1), (1, 1), (1, 1), False, (0, 0), 1  # stride, padding, dilation; not transposed; one group
            to_features, _, _ = torch.ops.aten.convolution_backward(
                gradients[0], features, weight, None, *form, (True, False, False)
            )
        return to_features, weight_gradient(features, gradients[0]), gradients[0].sum((0, 2, 3)) if of_bias else None


def weight_gradient(
    features: Float[Tensor, "images inputs rows columns"], gradient: Float[Tensor, "images outputs rows columns"]
) -> Float[Tensor, "outputs inputs 3 3"]:
    """Of a ``Conv3x3`` that read ``features``: for each place of its kernel, one matrix product over all positions.

    With a border of zeros around every image the features that one place of the kernel meets are the rows of all
    images, shifted by a constant. What a shift drags in from the image next door meets the gradient's border.
    """
    width = features.shape[-1] + 2
    read, moved = (pad(each.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2) for each in (features, gradient))
    first, end = width + 1, len(read) - width - 1
    by_output = moved[first:end].T
    result = read.new_empty(3, 3, gradient.shape[1], features.shape[1])
    for row in range(3):
        for column in range(3):
            shift = (row - 1) * width + column - 1
            torch.mm(by_output, read[first + shift : end + shift], out=result[row, column])
    return result.permute(2, 3, 0, 1)


class _ReflectingConv2d(nn.Conv2d):
    """Reflects the features at their border; a map one feature wide has nothing to reflect and is repeated."""

    def forward(self, input: Tensor) -> Tensor:
        for border, length in (((1, 1, 0, 0), input.shape[-1]), ((0, 0, 1, 1), input.shape[-2])):
            input = pad(input, border, mode="reflect" if length > 1 else "replicate")
        return super().forward(input)
