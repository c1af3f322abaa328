"""A made-up gain of int8, for tests of its text and of the command that reports it."""

from __future__ import annotations

from faster_rcnn.benchmark.quantization import Gain
from faster_rcnn.benchmark.values import Contender, Spread
from faster_rcnn.evaluation.metrics import Metrics


def metrics(ap: float | None) -> Metrics:
    """Metrics without classes, of which only AP is defined."""
    return Metrics(
        ap, *(None,) * 11, per_class=(), images=2, truths=0 if ap is None else 2, ignored=0, engine="", notes=()
    )


def gain(speed: float, before: float | None, after: float | None) -> Gain:
    """Int8 that is ``speed`` times as fast, and AP ``before`` and ``after``."""
    seconds = [Spread(each, each, each) for each in (0.026 * speed, 0.026)]
    floats, ours = Contender("ours", "float32", seconds[0], 40), Contender("int8", "int8", seconds[1], 41)
    return Gain(floats, ours, metrics(before), metrics(after), "test")
