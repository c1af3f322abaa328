"""Images per second from JPEG file to boxes of the presets `small` and `fast`, against `small` as it was before them.

    python benchmarks/real_time.py --before RUN --small RUN --fast RUN FILE --images DIR

Each is a trained detector; `frontier.py` trains the one before as its variant `small-before`. Of several detectors of
`fast`, such as one that `faster-rcnn quantize` has written, the fastest counts. Each round measures all of them in
turn, as a stream of files and one file at a time; ratios are those within a round. The first round, which warms up, is
not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import torch
from bars import Bar, judge
from pictures import paths_of
from timing import machine, seconds

from faster_rcnn import Detector
from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.benchmark.values import Spread
from faster_rcnn.system.devices import precision_name, widest_instructions
from faster_rcnn.weights.resolve import resolve_model

MIN_SCORE = 0.0
"""Minimum score of the detections; 0, so that only the model's own limit applies."""
SHARE, TIMES = 0.5, 4.0
"""Time of an image of `small`, and images per second of `fast`, by those of `small` before."""
RATES = {"AVX2": (25.0, 40.0)}
"""Images per second of `fast` that are required, and that are a goal, by the widest instructions."""
OTHER_RATES = 60.0, 90.0


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """A detector and its measurements."""

    name: str
    detector: Detector
    stream: list[float] = field(default_factory=list)
    """Images per second in each round."""
    single: list[float] = field(default_factory=list)
    """Median seconds of an image in each round."""

    @classmethod
    def of(cls, name: str, model: str) -> Timed:
        """A run folder or model file, in the precision of ``auto``."""
        precision = precision_name(precision_for(resolve_model(model), "auto", torch.device("cpu")))
        return cls(f"{name} in {precision}", Detector.load(model, device="cpu"))

    def __str__(self) -> str:
        stream = f"{median(self.stream):.1f} ({min(self.stream):.1f} to {max(self.stream):.1f})"
        return f"{self.name}: {stream} images per second as a stream, one at a time: {Spread.of(self.single)}"


def images_per_second(detector: Detector, paths: Sequence[Path]) -> float:
    """Images per second of a stream, in which a CPU processes two images concurrently."""
    start = time.perf_counter()
    found = sum(1 for _ in detector.predict(iter(paths), conf=MIN_SCORE))
    return found / (time.perf_counter() - start)


def single_seconds(detector: Detector, paths: Sequence[Path]) -> Iterator[float]:
    """Seconds of each image, when the next one is given only after the boxes of the last one are there."""
    for path in paths:
        yield seconds(partial(detector.predict, path, conf=MIN_SCORE))


def measure(every: Sequence[Timed], paths: Sequence[Path], rounds: int) -> None:
    """Measure all detectors in turn, in every round."""
    for number in range(rounds + 1):
        for one in every:
            rate, times = images_per_second(one.detector, paths), list(single_seconds(one.detector, paths))
            if number:
                one.stream.append(rate)
                one.single.append(median(times))


def bars_of(before: Timed, small: Timed, fast: Timed, instructions: str) -> list[Bar]:
    """The bars of both presets."""
    required, goal = RATES.get(instructions, OTHER_RATES)
    rate = f"images per second of {fast.name}, as a stream"
    return [
        Bar(f"time of an image of {small.name}, by {before.name}", _ratio(small.single, before.single), at_most=SHARE),
        Bar(f"{rate}, in multiples of {before.name}", _ratio(fast.stream, before.stream), at_least=TIMES),
        Bar(rate, median(fast.stream), at_least=required),
        Bar(rate, median(fast.stream), at_least=goal, goal=True),
    ]


def _ratio(mine: Sequence[float], other: Sequence[float]) -> float:
    return median(one / two for one, two in zip(mine, other, strict=True))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("before", "small"):
        parser.add_argument(f"--{name}", required=True, help="run folder or model file")
    parser.add_argument("--fast", required=True, nargs="+", help="run folders or model files")
    parser.add_argument("--images", required=True, nargs="+", help="files, folders or patterns")
    parser.add_argument("--count", type=int, default=100, help="how many of the images at most")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    paths = paths_of(parser, options)
    before, small = Timed.of("small before", options.before), Timed.of("small", options.small)
    fast = [Timed.of("fast", model) for model in options.fast]
    print(f"{machine()}; {len(paths)} images", flush=True)
    measure([before, small, *fast], paths, options.rounds)
    for one in (before, small, *fast):
        print(one, flush=True)
    return judge(bars_of(before, small, max(fast, key=lambda one: median(one.stream)), widest_instructions()))


if __name__ == "__main__":
    sys.exit(main())
