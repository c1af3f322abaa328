"""3x3 convolutions that keep the resolution, and what they find beyond the border of the features."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import pad

Padding = Literal["zeros", "reflect", "replicate", "circular"]


def conv3x3(inputs: int, outputs: int, padding: Padding, bias: bool = True) -> nn.Conv2d:
    """A 3x3 convolution that keeps the resolution; ``padding`` says what lies around the features."""
    if padding == "reflect":
        return _ReflectingConv2d(inputs, outputs, 3, bias=bias)
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding, bias=bias)


class _ReflectingConv2d(nn.Conv2d):
    """Reflects the features at their border; a map one feature wide has nothing to reflect and is repeated."""

    def forward(self, input: Tensor) -> Tensor:
        for border, length in (((1, 1, 0, 0), input.shape[-1]), ((0, 0, 1, 1), input.shape[-2])):
            input = pad(input, border, mode="reflect" if length > 1 else "replicate")
        return super().forward(input)
