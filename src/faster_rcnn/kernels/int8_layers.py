"""oneDNN's convolutions and fully connected layers in int8, on a CPU: the twins of those in ``onednn_layers``.

Features are integers from 0 to 255 (uint8) that stand for an activation range; weights are signed integers (int8) with
one scale per output channel. The sums of their products are exact::

    feature = scale * (integer - zero_point)          both belong to the range of the layer's input
    weight  = scales[output channel] * integer        symmetric: no zero point

oneDNN computes the sum of products of integers, multiplies it by both scales, adds the bias, and rounds the result to
the integers of the output range, or leaves it in floats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from faster_rcnn.kernels.fused_layers import OPERATIONS, Operation, Trial, matches_expected, result_or_none
from faster_rcnn.kernels.onednn_layers import FusedConv2d, FusedLinear, PackedWeightCache

MAX_LEVEL = 255
"""Largest integer of a feature; the smallest is 0."""
FULL_WEIGHTS, SAFE_WEIGHTS = 127, 63
"""Largest integer of a weight; half of it where a processor adds pairs of products in 16 bits."""
MAX_ERROR = 0.3
"""Share of the largest result of a trial: half a step of each of 216 features and weights adds up to 0.1 of the 6 at
which ReLU6 ends with weights up to 127, and to 0.17 with those up to 63."""


@dataclass(frozen=True, slots=True)
class Range:
    """An activation range: the features that the integers 0 and 255 stand for.

    It contains 0.0, which has an integer of its own, since padding is 0.
    """

    low: float
    high: float

    @property
    def scale(self) -> float:
        """The step from one integer to the next."""
        return max(self.high - self.low, 1e-8) / MAX_LEVEL

    @property
    def zero_point(self) -> int:
        """The integer that stands for 0.0."""
        return round(-self.low / self.scale)

    @staticmethod
    def around_zero(low: float, high: float) -> Range:
        """Check both ends; raises ``ValueError`` unless they are finite and contain 0."""
        if not -math.inf < low <= 0 <= high < math.inf:
            raise ValueError(f"no range around 0: {low} to {high}")
        return Range(low, high)

    def including(self, features: Tensor) -> Range:
        """Extend the range to the smallest and the largest of these features, of any shape."""
        low, high = torch.aminmax(features)
        return Range(min(self.low, float(low)), max(self.high, float(high)))


EMPTY_RANGE = Range(0.0, 0.0)
"""The range before any feature was observed."""


class Quantize(nn.Module):
    """Round features to the integers of a range; features outside it become 0 or 255."""

    def __init__(self, range: Range) -> None:
        super().__init__()
        self._factor = 1 / range.scale
        self._shift = torch.tensor(range.zero_point + 0.5)  # the fraction is cut off, so that adding a half rounds

    def forward(self, features: Tensor) -> Tensor:
        """Floats of any shape to uint8 of the same shape."""
        shifted = torch.add(self._shift, features.float(), alpha=self._factor)  # one pass scales and shifts
        # By way of int32: PyTorch converts floats to int32, and int32 to uint8, many at a time, but not in one step.
        return shifted.clamp_(0, MAX_LEVEL).int().to(torch.uint8)


class Dequantize(nn.Module):
    """Turn integers back into the features that they stand for."""

    def __init__(self, range: Range, precision: torch.dtype) -> None:
        super().__init__()
        self.range = range
        self.precision = precision

    def forward(self, quantized: Tensor) -> Tensor:
        """uint8 of any shape to ``precision`` of the same shape."""
        return quantized.float().sub_(self.range.zero_point).mul_(self.range.scale).to(self.precision)


class Int8Conv2d(nn.Module):
    """A fused convolution in int8, whose result is quantized or in floats."""

    def __init__(
        self,
        conv: FusedConv2d,
        input_range: Range,
        output_range: Range | None,
        added_range: Range | None,
        precision: torch.dtype,
    ) -> None:
        """Quantize the weights of ``conv``; the ranges are those of its input, its result, and of what is added to it.

        Without ``output_range`` the result is in ``precision``. With ``added_range`` it has to be quantized.
        """
        super().__init__()
        assert added_range is None or output_range is not None
        self.geometry = conv.geometry
        self.input_range, self.output_range, self.added_range = input_range, output_range, added_range
        self.precision = precision
        self._reads = input_range.scale, input_range.zero_point
        self._gives = (1.0, 0, precision)
        if output_range is not None:
            self._gives = (output_range.scale, output_range.zero_point, torch.uint8)
        self._activation = conv.activation.name, list(conv.activation.scalars), ""
        self._bias = conv.bias.detach().float()  # (outputs,)
        self._weight, self._scales = _quantized_weights(conv.weight.detach())  # (outputs, inputs, ...), (outputs,)
        self._zero_points = torch.zeros(len(self._scales), dtype=torch.int64)  # (outputs,)
        self._packed = PackedWeightCache()

    def forward(self, features: Tensor, other: Tensor | None = None) -> Tensor:
        """(images, inputs, rows, columns) in uint8 to (images, outputs, rows, columns); ``other`` is overwritten."""
        padding = self.geometry.padding_for(features)
        geometry = self.geometry.stride, padding.both_sides, self.geometry.dilation, self.geometry.groups
        packed = self._packed.get(
            features.shape,
            lambda: torch.ops.onednn.qconv_prepack(
                padding.extended(self._weight), self._scales, *self._reads, *geometry, list(features.shape)
            ),
        )
        reads = features, *self._reads, packed, self._scales, self._zero_points
        if other is None:
            plain: Tensor = torch.ops.onednn.qconv_pointwise(
                *reads, self._bias, *geometry, *self._gives, *self._activation
            )
            return plain
        assert self.added_range is not None
        adds = self.added_range.scale, self.added_range.zero_point, "sum", 1.0
        added: Tensor = torch.ops.onednn.qconv2d_pointwise.binary(
            *reads, other, self._bias, *geometry, *self._gives, *adds, *self._activation
        )
        return added


class Int8Linear(nn.Module):
    """A fused fully connected layer that reads int8 features and gives floats."""

    def __init__(self, layer: FusedLinear, input_range: Range, precision: torch.dtype) -> None:
        super().__init__()
        self.activation, self.input_range, self.precision = layer.activation, input_range, precision
        self._bias = layer.bias.detach().float()  # (outputs,)
        weight, self._scales = _quantized_weights(layer.weight.detach())  # (outputs, inputs), (outputs,)
        self._zero_points = torch.zeros(len(self._scales), dtype=torch.int64)  # (outputs,)
        self._packed: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)

    def forward(self, vectors: Tensor) -> Tensor:
        """(rows, inputs) in uint8 to (rows, outputs) in floats."""
        reads = self.input_range.scale, self.input_range.zero_point
        weights = self._packed, self._scales, self._zero_points, self._bias
        activation = self.activation.name
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            vectors, *reads, *weights, 1.0, 0, self.precision, activation, [], ""
        )
        return result


@cache
def weight_limit() -> int:
    """Largest integer of an int8 weight; 0 where this CPU lacks an int8 operation that detectors use."""
    return exact_limit() if all(int8_works(each) for each in OPERATIONS) else 0


@cache
def int8_works(operation: Operation) -> bool:
    """Whether an operation works in int8 on this CPU; tried once in a process, on small layers."""

    def in_int8(trial: Trial) -> Tensor:
        reads, gives = EMPTY_RANGE.including(trial.input), EMPTY_RANGE.including(trial.expected)
        if isinstance(trial.layer, nn.Linear):
            connected = Int8Linear(FusedLinear(trial.layer, operation.activation), reads, torch.float32)
            return connected.forward(Quantize(reads)(trial.input))
        adds = None if trial.added is None else EMPTY_RANGE.including(trial.added)
        conv = Int8Conv2d(FusedConv2d(trial.layer, operation.activation), reads, gives, adds, torch.float32)
        read = Quantize(reads)(trial.input.to(memory_format=torch.channels_last))
        if adds is None or trial.added is None:
            return Dequantize(gives, torch.float32).forward(conv.forward(read))
        added = Quantize(adds)(trial.added.to(memory_format=torch.channels_last))
        return Dequantize(gives, torch.float32).forward(conv.forward(read, added))

    return exact_limit() > 0 and matches_expected(operation, in_int8, MAX_ERROR)


@cache
def exact_limit() -> int:
    """Largest integer of an int8 weight whose products with features are added without loss; 0 if there is none.

    Processors with VNNI or AMX add products in 32 bits. Others add pairs of them in 16 bits, where 2 x 255 x 127 does
    not fit. What this processor does is tried once.
    """
    exact = [limit for limit in (FULL_WEIGHTS, SAFE_WEIGHTS) if all(_exact(limit, kernel) for kernel in (1, 3))]
    return max(exact, default=0)


def _exact(limit: int, kernel: int) -> bool:
    """Whether the largest features and weights of both signs give the right sums, in both kinds of layers."""
    channels = 64
    features = torch.full((1, channels, 8, 8), MAX_LEVEL, dtype=torch.uint8).to(memory_format=torch.channels_last)
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
        vectors = torch.full((4, weight[0].numel()), MAX_LEVEL, dtype=torch.uint8)
        found: Tensor = torch.ops.onednn.qlinear_pointwise(vectors, 1.0, 0, packed, scales, zeros, None, *to_float)
        return found

    expected = float(MAX_LEVEL) * weight.float().sum(dim=(1, 2, 3))
    results = [result_or_none(convolution), result_or_none(linear)]
    return all(each is not None and bool(((each - expected).abs() <= 1e-5 * expected.abs()).all()) for each in results)


def _quantized_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Quantize (outputs, ...) to int8 of the same shape; also the scale of each output channel, (outputs,)."""
    limit = exact_limit()
    weight = weight.float()
    scales = (weight.flatten(start_dim=1).abs().amax(dim=1) / limit).clamp(min=1e-12)
    integers = torch.round(weight / scales.reshape(-1, *[1] * (weight.dim() - 1)))
    return integers.clamp(-limit, limit).to(torch.int8), scales
