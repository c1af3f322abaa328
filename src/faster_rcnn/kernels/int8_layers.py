"""Convolutions and fully connected layers of oneDNN in 8 bits, on a CPU: the twins of ``onednn``'s fused ones.

Features are whole numbers from 0 to 255 that stand for a range, weights are whole numbers with one scale per output
channel, and the sums of their products are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from faster_rcnn.kernels.fused_layers import OPERATIONS, Operation, Trial, matches_expected, result_or_none
from faster_rcnn.kernels.onednn_layers import FusedConv2d, FusedLinear, PackedWeightCache

LEVELS = 255
"""Of features, beside 0."""
FULL_WEIGHTS, SAFE_WEIGHTS = 127, 63
"""Largest whole number of a weight; half of it where a processor adds pairs of products in 16 bits."""
MAX_ERROR = 0.3
"""Share of the largest result of a trial: half a step of each of 216 features and weights adds up to 0.1 of the 6 at
which ReLU6 ends with weights up to 127, and to 0.17 with those up to 63."""


@dataclass(frozen=True, slots=True)
class Range:
    """What 0 and 255 stand for; 0.0 itself has a whole number, since borders are padded with it."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """From one whole number to the next."""
        return max(self.high - self.low, 1e-8) / LEVELS

    @property
    def zero_point(self) -> int:
        """The whole number of 0.0."""
        return round(-self.low / self.scale)

    @staticmethod
    def around_zero(low: float, high: float) -> Range:
        """Raises ``ValueError`` for what is none."""
        if not -math.inf < low <= 0 <= high < math.inf:
            raise ValueError(f"no range around 0: {low} to {high}")
        return Range(low, high)

    def including(self, features: Tensor) -> Range:
        """The range of these features, too."""
        low, high = torch.aminmax(features)
        return Range(min(self.low, float(low)), max(self.high, float(high)))


EMPTY_RANGE = Range(0.0, 0.0)
"""To begin with."""


class Quantize(nn.Module):
    """From features to the nearest whole numbers; what lies outside their range goes to its end."""

    def __init__(self, range: Range) -> None:
        super().__init__()
        self._factor = 1 / range.scale
        self._shift = torch.tensor(range.zero_point + 0.5)  # the fraction is cut off, so that half of one more rounds

    def forward(self, features: Tensor) -> Tensor:
        """In 8 bits, in any shape."""
        shifted = torch.add(self._shift, features.float(), alpha=self._factor)  # one pass scales and shifts
        # By way of 32 bits: PyTorch turns floats into these, and these into 8, many at a time, but not at once.
        return shifted.clamp_(0, LEVELS).int().to(torch.uint8)


class Dequantize(nn.Module):
    """From whole numbers to the features that they stand for."""

    def __init__(self, range: Range, precision: torch.dtype) -> None:
        super().__init__()
        self.range = range
        self.precision = precision

    def forward(self, whole: Tensor) -> Tensor:
        """In floats, in any shape."""
        return whole.float().sub_(self.range.zero_point).mul_(self.range.scale).to(self.precision)


class Int8Conv2d(nn.Module):
    """A fused convolution in 8 bits; it gives whole numbers of a range, or floats."""

    def __init__(
        self, conv: FusedConv2d, reads: Range, gives: Range | None, adds: Range | None, precision: torch.dtype
    ) -> None:
        """``reads``, ``gives`` and ``adds`` are ranges of features, of the result, and of what is added to it.

        Without ``gives`` the result is in ``precision``; with ``adds`` it has to be in 8 bits.
        """
        super().__init__()
        assert adds is None or gives is not None
        self.form, self.activation = conv.form, conv.activation
        self.reads, self.gives, self.adds, self.precision = reads, gives, adds, precision
        self._bias = conv.bias.detach().float()
        self._weight, self._scales = _whole_weights(conv.weight.detach())
        self._zeros = torch.zeros(len(self._scales), dtype=torch.int64)
        self._packed = PackedWeightCache()

    def forward(self, features: Tensor, other: Tensor | None = None) -> Tensor:
        """(images, channels, rows, columns) in 8 bits; ``other`` is lost."""
        form, border = self.form, self.form.border(features)
        geometry = form.stride, border.padding, form.dilation, form.groups
        reads = self.reads.scale, self.reads.zero_point
        packed = self._packed.get(
            features.shape,
            lambda: torch.ops.onednn.qconv_prepack(
                border.grown(self._weight), self._scales, *reads, *geometry, list(features.shape)
            ),
        )
        weights = packed, self._scales, self._zeros
        gives = (
            (1.0, 0, self.precision) if self.gives is None else (self.gives.scale, self.gives.zero_point, torch.uint8)
        )
        activation = self.activation.name, list(self.activation.scalars), ""
        if other is None:
            plain: Tensor = torch.ops.onednn.qconv_pointwise(
                features, *reads, *weights, self._bias, *geometry, *gives, *activation
            )
            return plain
        assert self.adds is not None
        adds = self.adds.scale, self.adds.zero_point, "sum", 1.0
        added: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(
            features, *reads, *weights, other, self._bias, *geometry, *gives, *adds, *activation
        )
        return added


class Int8Linear(nn.Module):
    """A fused fully connected layer that reads 8 bits and gives floats."""

    def __init__(self, layer: FusedLinear, reads: Range, precision: torch.dtype) -> None:
        super().__init__()
        self.activation, self.reads, self.precision = layer.activation, reads, precision
        self._bias = layer.bias.detach().float()
        whole, self._scales = _whole_weights(layer.weight.detach())
        self._zeros = torch.zeros(len(self._scales), dtype=torch.int64)
        self._packed: Tensor = torch.ops.onednn.qlinear_prepack(whole, None)

    def forward(self, vectors: Tensor) -> Tensor:
        """(rows, inputs) in 8 bits to (rows, outputs)."""
        weights = self._packed, self._scales, self._zeros, self._bias
        activation = self.activation.name
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            vectors, self.reads.scale, self.reads.zero_point, *weights, 1.0, 0, self.precision, activation, [], ""
        )
        return result


@cache
def weight_limit() -> int:
    """Largest integer of a weight in 8 bits; 0 where this CPU lacks an operation that detectors use."""
    return exact_limit() if all(int8_works(each) for each in OPERATIONS) else 0


@cache
def int8_works(operation: Operation) -> bool:
    """Whether an operation works on this CPU in 8 bits; tried once in a process, on small layers."""

    def quantized(sample: Trial) -> Tensor:
        reads, gives = EMPTY_RANGE.including(sample.read), EMPTY_RANGE.including(sample.expected)
        if isinstance(sample.layer, nn.Linear):
            connected = Int8Linear(FusedLinear(sample.layer, operation.activation), reads, torch.float32)
            return connected.forward(Quantize(reads)(sample.read))
        adds = None if sample.added is None else EMPTY_RANGE.including(sample.added)
        conv = Int8Conv2d(FusedConv2d(sample.layer, operation.activation), reads, gives, adds, torch.float32)
        read = Quantize(reads)(sample.read.to(memory_format=torch.channels_last))
        if adds is None or sample.added is None:
            return Dequantize(gives, torch.float32).forward(conv.forward(read))
        added = Quantize(adds)(sample.added.to(memory_format=torch.channels_last))
        return Dequantize(gives, torch.float32).forward(conv.forward(read, added))

    return exact_limit() > 0 and matches_expected(operation, quantized, MAX_ERROR)


@cache
def exact_limit() -> int:
    """Largest integer of a weight in 8 bits whose products with features are added without loss; 0 if none is.

    Processors with VNNI or AMX add them in 32 bits. Others add pairs in 16, where 2 x 255 x 127 does not fit: what
    this one does is tried once.
    """
    exact = [limit for limit in (FULL_WEIGHTS, SAFE_WEIGHTS) if all(_exact(limit, kernel) for kernel in (1, 3))]
    return max(exact, default=0)


def _exact(limit: int, kernel: int) -> bool:
    """Whether the largest features and weights of both signs give the right sums, in both kinds of layers."""
    channels = 64
    features = torch.full((1, channels, 8, 8), LEVELS, dtype=torch.uint8).to(memory_format=torch.channels_last)
    weight = torch.full((channels, channels, kernel, kernel), limit, dtype=torch.int8)
    weight[::2] *= -1
    scales, zeros = torch.ones(channels), torch.zeros(channels, dtype=torch.int64)
    geometry: tuple[list[int], list[int], list[int], int] = [1, 1], [0, 0], [1, 1], 1
    no_scalars: list[float] = []
    to_float = 1.0, 0, torch.float32, "none", no_scalars, ""

    def convolution() -> Tensor:
        packed = torch.ops.onednn.qconv_prepack(weight, scales, 1.0, 0, *geometry, list(features.shape))
        found: Tensor = torch.ops.onednn.qconv_pointwise(
            features, 1.0, 0, packed, scales, zeros, None, *geometry, *to_float
        )
        return found.permute(0, 2, 3, 1)

    def linear() -> Tensor:
        packed = torch.ops.onednn.qlinear_prepack(weight.flatten(start_dim=1), None)
        vectors = torch.full((4, weight[0].numel()), LEVELS, dtype=torch.uint8)
        found: Tensor = torch.ops.onednn.qlinear_pointwise(vectors, 1.0, 0, packed, scales, zeros, None, *to_float)
        return found

    expected = float(LEVELS) * weight.float().sum(dim=(1, 2, 3))
    answers = [result_or_none(convolution), result_or_none(linear)]
    return all(each is not None and bool(((each - expected).abs() <= 1e-5 * expected.abs()).all()) for each in answers)


def _whole_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers, and their scale for each output channel."""
    limit = exact_limit()
    weight = weight.float()
    scales = (weight.flatten(start_dim=1).abs().amax(dim=1) / limit).clamp(min=1e-12)
    whole = torch.round(weight / scales.reshape(-1, *[1] * (weight.dim() - 1)))
    return whole.clamp(-limit, limit).to(torch.int8), scales
