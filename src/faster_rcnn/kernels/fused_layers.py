"""The fused operations that oneDNN may have on a processor, each tried by itself before anything relies on it.

oneDNN chooses a kernel by instruction set, precision and kind of layer, so one operation may be missing where its
neighbours work. A trial decides whether an operation gives the right numbers, never whether it is fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from faster_rcnn.kernels.onednn_layers import (
    ACTIVATIONS,
    NO_ACTIVATION,
    SIMPLE_ACTIVATIONS,
    Activation,
    FusedConv2d,
    FusedLinear,
)

CONVOLUTION, GROUPED, DEPTHWISE, LINEAR = "convolution", "grouped", "depthwise", "linear"
CHANNELS = 24
"""One and a half of the blocks of 16 channels that AVX-512 computes."""
GROUPS = {CONVOLUTION: 1, GROUPED: 2, DEPTHWISE: CHANNELS}
KERNELS = (1, 3)
"""Kernel sizes of the trials: oneDNN has special code for 1x1 convolutions."""
MAX_ERROR = {torch.float32: 1e-4, torch.bfloat16: 1e-2}
"""Shares of the largest result; rounding to bfloat16 changes a number by 2**-9 of itself."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A kind of layer, the activation after it, and whether another feature map is added before that activation."""

    kind: str
    activation: Activation = NO_ACTIVATION
    adds: bool = False

    @property
    def name(self) -> str:
        """What is fused: ``conv``, ``depthwise``, ``sum`` (of any convolution with another map), or ``linear``."""
        return "sum" if self.adds else "conv" if self.kind in (CONVOLUTION, GROUPED) else self.kind

    @staticmethod
    def of(layer: nn.Conv2d | nn.Linear, activation: Activation, *, adds: bool = False) -> Operation:
        """The operation that computes a layer and what follows it."""
        if isinstance(layer, nn.Linear):
            return Operation(LINEAR, activation)
        kind = CONVOLUTION if layer.groups == 1 else DEPTHWISE if layer.groups == layer.in_channels else GROUPED
        return Operation(kind, activation, adds)


EVERY_ACTIVATION = tuple(dict.fromkeys((NO_ACTIVATION, *ACTIVATIONS.values())))
OPERATIONS = (
    *(Operation(kind, activation) for kind in GROUPS for activation in EVERY_ACTIVATION),
    *(Operation(kind, activation, adds=True) for kind in GROUPS for activation in SIMPLE_ACTIVATIONS),
    *(Operation(LINEAR, activation) for activation in SIMPLE_ACTIVATIONS),
)
"""All operations that a fused detector may call."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A small layer in float32, its input, what is added to its result, and the result that an operation must give."""

    layer: nn.Conv2d | nn.Linear
    input: Tensor
    added: Tensor | None
    expected: Tensor


@cache
def fused_works(operation: Operation, precision: torch.dtype) -> bool:
    """Whether a fused operation works on this CPU in ``precision``; tried once in a process, on small layers."""

    def fused(trial: Trial) -> Tensor:
        layer, read = trial.layer.to(precision), trial.input.to(precision)
        if isinstance(layer, nn.Linear):
            return FusedLinear(layer, operation.activation).forward(read)
        added = None if trial.added is None else trial.added.to(precision, copy=True)
        return FusedConv2d(layer, operation.activation).forward(read, added)

    return matches_expected(operation, fused, MAX_ERROR[precision])


def matches_expected(operation: Operation, compute: Callable[[Trial], Tensor], max_error: float) -> bool:
    """Whether ``compute`` gives the results of all trials of an operation, within ``max_error`` of the largest number.

    A ``compute`` that raises, or gives NaN, does not.
    """
    with torch.no_grad():
        return all(_error(compute, trial) <= max_error for trial in trials(operation))


def _error(compute: Callable[[Trial], Tensor], trial: Trial) -> float:
    found = result_or_none(lambda: compute(trial))
    return torch.inf if found is None else float((found.float() - trial.expected).abs().max() / trial.expected.max())


def trials(operation: Operation) -> Iterator[Trial]:
    """Small layers of an operation, with numbers that bfloat16 holds exactly, so that only results are rounded."""
    generator = torch.Generator().manual_seed(0)

    def numbers(shape: Sequence[int]) -> Tensor:
        return torch.randint(-8, 9, shape, generator=generator) / 8

    of_activation = {each: kind() for kind, each in ACTIVATIONS.items() if isinstance(kind, type)}
    activation = of_activation.get(operation.activation, nn.Identity())
    for layer, shape in _layers(operation.kind):
        for each in layer.requires_grad_(False).parameters():
            each.copy_(numbers(each.shape))
        read = 8 * numbers(shape)  # so that also results of a single product exceed 6, where ReLU6 ends
        result = layer(read)
        added = numbers(result.shape) if operation.adds else None
        yield Trial(layer, read, added, activation(result if added is None else result + added))


def _layers(kind: str) -> Iterator[tuple[nn.Conv2d | nn.Linear, tuple[int, ...]]]:
    """Layers with uninitialized weights, and the shape of each one's input."""
    if kind == LINEAR:
        yield nn.utils.skip_init(nn.Linear, 36, 5), (4, 36)
        return
    for kernel in KERNELS:
        conv = nn.utils.skip_init(nn.Conv2d, CHANNELS, CHANNELS, kernel, padding=kernel // 2, groups=GROUPS[kind])
        yield conv, (2, CHANNELS, 7, 6)


def result_or_none(work: Callable[[], Tensor]) -> Tensor | None:
    """The result of an operator; ``None`` where this PyTorch, or this processor, does not have it."""
    try:
        return work()
    except (RuntimeError, AttributeError, TypeError):
        return None
