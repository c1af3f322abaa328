"""oneDNN's layers on a CPU that do in one call what takes PyTorch several.

A fused convolution applies its activation, and adds another feature map, while its own result is still in the cache.
Its weights stay in the memory order that oneDNN prefers; a plain convolution reorders them at every call. PyTorch's own
compiler calls the same operators, which have no public name: only this file and ``int8_layers``, its twin for integers,
use them, and ``fused_layers`` tries each of them before anything relies on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn.functional import linear, pad, relu

from faster_rcnn.kernels.conv3x3 import Conv3x3

PACKED_ROWS = 300
"""Rows that weights of fully connected layers are packed for: the regions of an image in inference, in most presets.
A fixed number: with the rows of the first image the packing would depend on which of two concurrent images is first."""
PACKING = Lock()
"""Held while weights are packed: threads may share a detector."""


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation after a layer, by oneDNN's name, and its numbers."""

    name: str = "none"
    scalars: tuple[float, ...] = ()


NO_ACTIVATION = Activation()
RELU = Activation("relu")
ACTIVATIONS: dict[Any, Activation] = {
    nn.ReLU: RELU,
    relu: RELU,
    torch.relu: RELU,
    nn.ReLU6: Activation("hardtanh", (0.0, 6.0)),
    nn.Hardswish: Activation("hardswish"),
    nn.SiLU: Activation("swish"),
}
"""oneDNN's activation by type of layer, or by function."""
SIMPLE_ACTIVATIONS = (NO_ACTIVATION, RELU)
"""The activations that may follow a sum or a fully connected layer."""


def can_fuse(layer: nn.Module) -> bool:
    """Whether a layer is a convolution that ``FusedConv2d`` can replace."""
    plain = type(layer) in (nn.Conv2d, Conv3x3) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return plain or (type(layer) is Conv2dSame and layer.dilation == (1, 1))


class FusedConv2d(nn.Module):
    """A convolution, the sum of its result and another feature map, and an activation.

    All feature maps are in channels-last memory format. The operator takes others, too, but then runs as single steps,
    of which some do not exist in bfloat16.
    """

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        self.geometry = ConvGeometry.of(conv)
        self.activation = activation
        self.weight = conv.weight  # (outputs, inputs / groups, kernel rows, kernel columns)
        self.bias = nn.Parameter(bias_of(conv), requires_grad=False)  # (outputs,)
        self._packed = PackedWeightCache()

    def forward(self, features: Tensor, other: Tensor | None = None) -> Tensor:
        """(images, inputs, rows, columns) to (images, outputs, rows, columns).

        ``other`` has the shape of the result and may be overwritten by it.
        """
        features = features.contiguous(memory_format=torch.channels_last)
        padding = self.geometry.padding_for(features)
        geometry = padding.both_sides, self.geometry.stride, self.geometry.dilation, self.geometry.groups
        packed = self._packed.get(
            features.shape,
            lambda: torch.ops.mkldnn._reorder_convolution_weight(
                padding.extended(self.weight), *geometry, list(features.shape)
            ),
        )
        name, scalars = self.activation.name, list(self.activation.scalars)
        if other is None:
            plain: Tensor = torch.ops.mkldnn._convolution_pointwise(
                features, packed, self.bias, *geometry, name, scalars, ""
            )
            return plain
        after = None if name == "none" else name
        other = other.contiguous(memory_format=torch.channels_last)
        added: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            other, features, packed, self.bias, *geometry, "add", 1.0, after, scalars, ""
        )
        return added


class FusedLinear(nn.Module):
    """A fully connected layer, and a ReLU after it.

    In bfloat16 its weights are packed for ``PACKED_ROWS`` rows. In float32 PyTorch has a faster library for it.
    """

    def __init__(self, layer: nn.Linear, activation: Activation) -> None:
        """``activation`` is one of ``SIMPLE_ACTIVATIONS``."""
        super().__init__()
        self.activation = activation
        self.weight = layer.weight  # (outputs, inputs)
        self.bias = nn.Parameter(bias_of(layer), requires_grad=False)  # (outputs,)
        self._packed: Tensor | None = None

    def forward(self, vectors: Tensor) -> Tensor:
        """(rows, inputs) to (rows, outputs)."""
        if vectors.dtype == torch.float32 or not len(vectors):
            plain = linear(vectors, self.weight, self.bias)
            return plain.relu_() if self.activation == RELU else plain
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, PACKED_ROWS)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(
            vectors, self._packed, self.bias, self.activation.name, [], ""
        )
        return result


class PackedWeightCache:
    """Weights in oneDNN's memory orders for the last few shapes of features and numbers of threads.

    Weights packed for another shape would give the same results, but take up to a third longer, and those for another
    number of threads a tenth longer. Packing them again costs a few percent of an image.
    """

    MAX_ENTRIES = 2
    """Orders that are kept: the images of a camera are landscape or portrait."""

    def __init__(self) -> None:
        self._by_work: dict[tuple[torch.Size, int], Tensor] = {}

    def get(self, shape: torch.Size, pack: Callable[[], Tensor]) -> Tensor:
        """Weights for a shape and for the caller's number of threads; ``pack`` makes them where they are missing."""
        work = shape, torch.get_num_threads()
        with PACKING:
            packed = self._by_work.pop(work, None)
            if packed is None:
                if len(self._by_work) == self.MAX_ENTRIES:
                    del self._by_work[next(iter(self._by_work))]  # the least recently used
                packed = pack()
            self._by_work[work] = packed
        return packed


@dataclass(frozen=True, slots=True)
class ConvPadding:
    """Zeros around features, equal on both sides of an axis, and a kernel that starts with more zeros.

    oneDNN's operators take one number per axis. TensorFlow's SAME may pad one row or column more at the end than at
    the beginning. The same result follows from the larger number on both sides, and a zero row or column in front of
    the kernel, which meets the extra padding::

        SAME, end one longer          both sides alike, kernel extended
        [a b c] on . . . .|0          [0 a b c] on 0|. . . .|0
    """

    both_sides: tuple[int, int]
    """Rows and columns of zeros on each side of the features."""
    extra: tuple[int, int] = (0, 0)
    """Rows and columns of zeros in front of the kernel."""

    def extended(self, weight: Tensor) -> Tensor:
        """(outputs, inputs, rows, columns) with the ``extra`` zeros in front of its rows and columns."""
        rows, columns = self.extra
        return pad(weight, (columns, 0, rows, 0)) if rows or columns else weight


@dataclass(frozen=True, slots=True)
class ConvGeometry:
    """All numbers of a convolution but its weights."""

    inputs: int
    """Input channels."""
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: tuple[int, int]
    same_kernel: tuple[int, int] | None
    """Kernel size where the padding depends on the features (TensorFlow's SAME); else ``None``."""

    @staticmethod
    def of(conv: nn.Conv2d) -> ConvGeometry:
        """Read the numbers of a layer for which ``can_fuse`` is true."""
        same = _pair(conv.kernel_size) if isinstance(conv, Conv2dSame) else None
        padding = (0, 0) if same else (int(conv.padding[0]), int(conv.padding[1]))
        return ConvGeometry(conv.in_channels, _pair(conv.stride), _pair(conv.dilation), conv.groups, padding, same)

    def padding_for(self, features: Tensor) -> ConvPadding:
        """The padding of features (images, channels, rows, columns)."""
        if self.same_kernel is None:
            return ConvPadding(self.padding)
        sides = zip(features.shape[-2:], self.same_kernel, self.stride, strict=True)
        # SAME gives ceil(side / stride) outputs; the last kernel then ends so many features beyond the map.
        totals = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side, kernel, stride in sides]
        rows, columns = totals
        return ConvPadding((-(-rows // 2), -(-columns // 2)), (rows % 2, columns % 2))


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[1]


def bias_of(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """The bias of a layer, (outputs,); zeros where it has none."""
    return layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()
