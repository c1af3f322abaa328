"""Layers of oneDNN on a CPU that do in one call what takes PyTorch several.

A fused convolution applies its activation, and adds another feature map, while its own result is still in the cache;
its weights lie in the order that oneDNN wants, where a plain one reorders them at every call. PyTorch's own compiler
calls the same operators, which have no public name: only this file and ``eight_bit``, its twin for whole numbers,
know them, and ``fused_operations`` tries them before anything relies on them.
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
"""Rows that weights of fully connected layers are packed for: regions of an image in testing, in most presets. The
packing does not depend on the rows of the first image, which of two concurrent images may be either."""
PACKING = Lock()
"""Threads may share a detector."""


@dataclass(frozen=True, slots=True)
class Activation:
    """What follows a convolution, by oneDNN's name."""

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
"""By type of layer, or by function."""
SIMPLE_ACTIVATIONS = (NO_ACTIVATION, RELU)
"""Those that may follow a sum, or a fully connected layer."""


def can_fuse(layer: nn.Module) -> bool:
    """Whether a layer is a convolution that a fused one can take the place of."""
    plain = type(layer) in (nn.Conv2d, Conv3x3) and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return plain or (type(layer) is Conv2dSame and layer.dilation == (1, 1))


class FusedConv2d(nn.Module):
    """A convolution, its activation, and the sum of both with another feature map before that activation.

    All feature maps are in channels-last memory format: the operator takes others, too, but falls apart into single
    steps then, of which some do not exist in bfloat16.
    """

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        self.form = ConvGeometry.of(conv)
        self.activation = activation
        self.weight = conv.weight
        self.bias = nn.Parameter(bias_of(conv), requires_grad=False)
        self._packed = PackedWeightCache()

    def forward(self, features: Tensor, other: Tensor | None = None) -> Tensor:
        """(images, channels, rows, columns); ``other``, of the same shape as the result, may be overwritten by it."""
        features = features.contiguous(memory_format=torch.channels_last)
        form, border = self.form, self.form.border(features)
        geometry = border.padding, form.stride, form.dilation, form.groups
        packed = self._packed.get(
            features.shape,
            lambda: torch.ops.mkldnn._reorder_convolution_weight(
                border.grown(self.weight), *geometry, list(features.shape)
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
        self.weight = layer.weight
        self.bias = nn.Parameter(bias_of(layer), requires_grad=False)
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
    """Weights in the orders that oneDNN wants for the last few shapes of features, on so many threads.

    Weights in the order of another shape would do, but are up to a third slower, and in that for another number of
    threads a tenth; to order them anew costs a few percent of an image.
    """

    MOST = 2
    """Orders that are kept: images of a camera lie across or upright."""

    def __init__(self) -> None:
        self._by_work: dict[tuple[torch.Size, int], Tensor] = {}

    def get(self, shape: torch.Size, pack: Callable[[], Tensor]) -> Tensor:
        """Those for a shape, and for the threads that the caller has; ``pack`` makes them."""
        work = shape, torch.get_num_threads()
        with PACKING:
            packed = self._by_work.pop(work, None)
            if packed is None:
                if len(self._by_work) == self.MOST:
                    del self._by_work[next(iter(self._by_work))]  # the one that was not asked for for longest
                packed = pack()
            self._by_work[work] = packed
        return packed


@dataclass(frozen=True, slots=True)
class ConvPadding:
    """What lies around features: as many zeros on either side, and a kernel that is larger by as many, before."""

    padding: tuple[int, int]
    growth: tuple[int, int] = (0, 0)

    def grown(self, weight: Tensor) -> Tensor:
        """Zeros at the beginning of a kernel take the place of padding that is larger at the end than before."""
        rows, columns = self.growth
        return pad(weight, (columns, 0, rows, 0)) if rows or columns else weight


@dataclass(frozen=True, slots=True)
class ConvGeometry:
    """All of a convolution but its weights."""

    inputs: int
    """Channels."""
    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    padding: tuple[int, int]
    same: tuple[int, int] | None
    """The kernel, where padding depends on the features: TensorFlow's SAME."""

    @staticmethod
    def of(conv: nn.Conv2d) -> ConvGeometry:
        """Of a layer that ``can_fuse``."""
        same = _pair(conv.kernel_size) if isinstance(conv, Conv2dSame) else None
        padding = (0, 0) if same else (int(conv.padding[0]), int(conv.padding[1]))
        return ConvGeometry(conv.in_channels, _pair(conv.stride), _pair(conv.dilation), conv.groups, padding, same)

    def border(self, features: Tensor) -> ConvPadding:
        """Around these features."""
        if self.same is None:
            return ConvPadding(self.padding)
        sides = zip(features.shape[-2:], self.same, self.stride, strict=True)
        totals = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side, kernel, stride in sides]
        rows, columns = totals
        return ConvPadding((-(-rows // 2), -(-columns // 2)), (rows % 2, columns % 2))


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[1]


def bias_of(layer: nn.Conv2d | nn.Linear) -> Tensor:
    """Zeros where a layer has none."""
    return layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias.detach()
