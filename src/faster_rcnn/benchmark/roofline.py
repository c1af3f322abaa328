"""Roofline of body, neck and RPN head: their FLOPs divided by the best measured convolution throughput.

The throughput is measured on the machine, not read from its data sheet: each of the largest convolutions of the network
runs alone, with nothing between it and the clock. The time that a detector takes above this lower bound goes into small
and depthwise convolutions, activations, and the traffic of feature maps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from faster_rcnn.images import size_of
from faster_rcnn.kernels.fused_layers import Operation, fused_works
from faster_rcnn.kernels.onednn_layers import NO_ACTIVATION, FusedConv2d
from faster_rcnn.model import FasterRCNN
from faster_rcnn.stages import RPN_OUTPUT, until
from faster_rcnn.structures import ImageBatch
from faster_rcnn.system.devices import computing_in
from faster_rcnn.system.timing import timed

NUM_CONVOLUTIONS = 10
"""How many of the largest convolutions are measured."""
RUNS = 6
"""Runs per convolution; the fastest is kept, and the first one also selects a kernel."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution as a network computes it; shapes are (images, channels, rows, columns)."""

    pixels: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    operations: int
    """A multiplication and an addition are two."""


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of body, neck and RPN head on one batch."""

    operations: int
    """Number in all convolutions and matrix products; a multiplication and an addition are two."""
    convolutions: tuple[Convolution, ...]
    """Every convolution, in the order of the computation."""


@dataclass(frozen=True, slots=True)
class Roofline:
    """Lower bound of the time that the operations of a detector take."""

    operations: int
    rates: tuple[tuple[Convolution, float], ...]
    """The largest convolutions, largest first, each with its best measured operations per second."""

    @property
    def rate(self) -> float:
        """Operations per second of the fastest of them."""
        return max(rate for _, rate in self.rates)

    @property
    def seconds(self) -> float:
        """The lower bound: the time of all operations at that rate."""
        return self.operations / self.rate


def work_of(model: FasterRCNN, pixels: Float[Tensor, "images 3 height width"], precision: torch.dtype) -> Work:
    """Count the operations of body, neck and RPN head in one pass over a prepared batch."""
    images = ImageBatch(pixels, (size_of(pixels),) * len(pixels))
    counter, recorder = FlopCounterMode(display=False), _Recorder()
    with torch.no_grad(), computing_in(precision, pixels.device), counter, recorder:
        until(model.stages(images), RPN_OUTPUT)
    return Work(counter.get_total_flops(), tuple(recorder.convolutions))


def measure_roofline(work: Work, precision: torch.dtype, device: torch.device) -> Roofline:
    """Measure the ten largest different convolutions, each alone, in channels-last format, with and without packing."""
    differing = sorted(dict.fromkeys(work.convolutions), key=lambda each: each.operations, reverse=True)
    rates = [(each, each.operations / _best_seconds(each, precision, device)) for each in differing[:NUM_CONVOLUTIONS]]
    return Roofline(work.operations, tuple(rates))


class _Recorder(TorchDispatchMode):
    """Records the shapes of every convolution that runs within it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's types lag
        self.convolutions: list[Convolution] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            pixels, weight, _, stride, padding, dilation, _, _, groups = args
            operations = 2 * result.numel() * weight[0].numel()
            shapes = tuple(pixels.shape), tuple(weight.shape)
            self.convolutions.append(
                Convolution(*shapes, tuple(stride), tuple(padding), tuple(dilation), groups, operations)
            )
        return result


def _best_seconds(conv: Convolution, precision: torch.dtype, device: torch.device) -> float:
    generator = torch.Generator().manual_seed(0)
    pixels, weight = (
        torch.randn(shape, generator=generator).to(device, precision).to(memory_format=torch.channels_last)
        for shape in (conv.pixels, conv.weight)
    )
    works: list[Callable[[], Tensor]] = [
        lambda: torch.conv2d(pixels, weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    ]
    layer = nn.utils.skip_init(
        nn.Conv2d, weight.shape[1] * conv.groups, len(weight), weight.shape[2:], conv.stride, conv.padding,
        conv.dilation, conv.groups, bias=False,
    )  # fmt: skip
    if device.type == "cpu" and fused_works(Operation.of(layer, NO_ACTIVATION), precision):
        layer.weight = nn.Parameter(weight, requires_grad=False)
        packed = FusedConv2d(layer, NO_ACTIVATION)
        works.append(lambda: packed(pixels))
    with torch.inference_mode():
        return min(timed(work, device)[0] for work in works for _ in range(RUNS))
