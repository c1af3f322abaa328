"""What int8 gains and costs: the time and AP of a quantized detector beside those in floating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from faster_rcnn.benchmark.timing import runner_of, time_contenders
from faster_rcnn.benchmark.values import Contender
from faster_rcnn.data.records import Split, evenly_spread
from faster_rcnn.evaluation.detector import measure_detector
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.weights.model_file import LoadedModel

CPU = torch.device("cpu")
MIN_SPEEDUP, MAX_AP_LOSS = 1.3, 0.005
"""A quantized detector is recommended where it is at least this much faster and loses at most this much AP."""
MAX_IMAGES, ROUNDS = 10, 3
"""Images that are timed at most, and how often each."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Int8 beside floating point: the same images timed in turn, and AP on the same split."""

    floats: Contender
    int8: Contender
    metrics_of_floats: Metrics
    metrics: Metrics
    split: str

    @property
    def speed(self) -> float:
        """The median time in floating point, divided by that in int8."""
        return self.floats.seconds.median / self.int8.seconds.median

    @property
    def ap_loss(self) -> float | None:
        """AP in floating point minus AP in int8; ``None`` where the split has no objects."""
        before, after = self.metrics_of_floats.ap, self.metrics.ap
        return None if before is None or after is None else before - after

    def objections(self) -> list[str]:
        """Reasons not to use the quantized detector on this machine."""
        reasons = []
        if self.speed < MIN_SPEEDUP:
            reasons.append(f"it is {self.speed:.2f} times as fast here, less than {MIN_SPEEDUP:g}")
        if self.ap_loss is not None and self.ap_loss > MAX_AP_LOSS:
            reasons.append(f"it loses {100 * self.ap_loss:.2f} points of AP, more than {100 * MAX_AP_LOSS:g}")
        return reasons

    def __str__(self) -> str:
        before, after = self.metrics_of_floats.ap, self.metrics.ap
        ap = f"there is nothing to find in {self.split}, so no AP"
        if before is not None and after is not None:
            ap = f"AP on {self.split} is {after:.4f}, and {before:.4f} in {self.floats.precision}"
        return (
            f"int8 is {self.speed:.2f} times as fast as {self.floats.precision}, pixels to boxes: "
            f"{self.int8.seconds} and {self.floats.seconds}; {ap}"
        )

    def to_json(self) -> dict[str, Any]:
        """The object that ``quantize --json`` writes; times in seconds."""
        return {
            "speed": self.speed,
            "ap_lost": self.ap_loss,
            "part": self.split,
            "floats": {**self.floats.to_json(), "ap": self.metrics_of_floats.ap},
            "eight_bits": {**self.int8.to_json(), "ap": self.metrics.ap},
        }


def measure_gain(quantized: LoadedModel, split: Split, model: str) -> Gain:
    """Time and evaluate a quantized detector in int8 and in the fastest floating-point precision of this CPU.

    Args:
        quantized: the detector with its activation ranges.
        split: labelled images; up to ten of them are timed.
        model: the detector's name in messages.
    """
    floats, int8 = (
        Predictor(prepare(quantized, CPU, precision, exact=False), batch=1)
        for precision in (choose_precision("auto", CPU), torch.int8)
    )
    paths = [record.path for record in evenly_spread(split.records, MAX_IMAGES)]
    theirs, ours = time_contenders(floats, [runner_of("int8", int8)], paths, ROUNDS)
    return Gain(theirs, ours, measure_detector(floats, split, model), measure_detector(int8, split, model), split.name)
