"""3x3 convolutions that keep the resolution: zeros around the features, and a weight gradient that is fast on AVX2.

On a processor with AVX2 and without AVX-512, oneDNN's float32 gradient of the weights of such a convolution, with
channels-last features, takes 3 to 7 times as long as the convolution itself, and nearly half of the time of all
convolutions of ``base`` in training. ``weight_gradient`` is nine matrix products instead
(``benchmarks/convolution.py``).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

MIN_CHANNELS, MIN_POSITIONS = 16, 24 * 24
"""Below these sizes oneDNN's gradient is as fast as nine small matrix products."""


def conv3x3(inputs: int, outputs: int, bias: bool = True) -> Conv3x3:
    """A 3x3 convolution that keeps the resolution, with zeros around the features."""
    return Conv3x3(inputs, outputs, 3, padding=1, bias=bias)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution of stride 1 with zero padding, whose weight gradient takes the faster of two ways."""

    def forward(self, input: Tensor) -> Tensor:
        """(images, inputs, rows, columns) to (images, outputs, rows, columns)."""
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
    """Replace every 3x3 convolution of stride 1 with zero padding below ``module`` by a ``Conv3x3``.

    A layer decides by its input, dtype and gradient mode which gradient it takes, so it is replaced once, when a
    detector is built; parameters and their names stay.
    """
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Conv2d and _is_conv3x3(child):
                own = nn.utils.skip_init(
                    Conv3x3, child.in_channels, child.out_channels, 3, padding=1, bias=child.bias is not None
                )
                own.weight, own.bias = child.weight, child.bias
                setattr(parent, name, own)


def _is_conv3x3(conv: nn.Conv2d) -> bool:
    numbers = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    return numbers == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


class _Convolution(torch.autograd.Function):
    """A 3x3 convolution with ``weight_gradient`` in its backward pass."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, weight)
        return conv2d(features, weight, bias, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        features, weight = ctx.saved_tensors
        needs_features, _, needs_bias = ctx.needs_input_grad
        of_features = None
        if needs_features:
            numbers = (1, 1), (1, 1), (1, 1), False, (0, 0), 1  # stride, padding, dilation; not transposed; one group
            of_features, _, _ = torch.ops.aten.convolution_backward(
                gradients[0], features, weight, None, *numbers, (True, False, False)
            )
        of_bias = gradients[0].sum((0, 2, 3)) if needs_bias else None
        return of_features, weight_gradient(features, gradients[0]), of_bias


def weight_gradient(
    features: Float[Tensor, "images inputs rows columns"], gradient: Float[Tensor, "images outputs rows columns"]
) -> Float[Tensor, "outputs inputs 3 3"]:
    """The gradient of a ``Conv3x3``'s weight, from its input and the gradient of its output.

    With zeros around every image, the features that meet one element of the kernel are the flattened positions of all
    images, shifted by a constant, so each of the nine elements is one matrix product over all positions. A shift also
    reads across rows and images, but only into products with the zeros around the gradient. For maps of 3 x 3, padded
    to 5 x 5 and flattened, output 6 (row 1, column 1) meets the inputs::

         0  1  2  3  4        0  1  2        kernel element (0, 0): shift -6
         5 [6] 7  8  9        5  6  7                       (1, 1): shift  0
        10 11 12 13 14       10 11 12                       (2, 2): shift +6

    Shapes in comments: P positions of all padded images, I inputs, O outputs.
    """
    width = features.shape[-1] + 2
    read, moved = (pad(each.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(0, 2) for each in (features, gradient))
    first, end = width + 1, len(read) - width - 1  # read (P, I), moved (P, O): the outermost shifts stay inside
    by_output = moved[first:end].T  # (O, end - first)
    result = read.new_empty(3, 3, gradient.shape[1], features.shape[1])  # (3, 3, O, I)
    for row in range(3):
        for column in range(3):
            shift = (row - 1) * width + column - 1
            torch.mm(by_output, read[first + shift : end + shift], out=result[row, column])  # (O, I)
    return result.permute(2, 3, 0, 1)  # (O, I, 3, 3)
