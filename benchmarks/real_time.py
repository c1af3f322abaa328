"""Images per second from JPEG file to boxes, through `Detector.predict`: a stream of files, and one file at a time.

    python benchmarks/real_time.py --model RUN --images DIR

A trained detector runs at its own image size with 300 proposals, and at 320 pixels with 100. Each round measures both
settings in turn. Where there is a C++ compiler the detector is compiled, as `compile=True` does; compiling and the
first round, which warms up, are not counted.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from bars import Bar, judge
from pictures import parser_for, paths_of
from timing import machine, seconds

from faster_rcnn import Detector
from faster_rcnn.acceleration.compilation import found_compiler
from faster_rcnn.acceleration.selection import precision_for
from faster_rcnn.benchmark.values import Spread
from faster_rcnn.building import with_settings
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.system.devices import precision_name
from faster_rcnn.weights.resolve import resolve_model

MIN_SCORE = 0.0
"""Minimum score of the detections; 0, so that only the model's own limit applies."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Image size and number of proposals of a detector, and the required images per second."""

    image_size: int | None
    """Pixels of the shorter side; ``None`` is the model's own."""
    proposals: int
    required: float
    goal: float


SETTINGS = (Setting(None, 300, required=30, goal=40), Setting(320, 100, required=50, goal=60))


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """A detector and its measurements."""

    name: str
    detector: Detector
    stream: list[float] = field(default_factory=list)
    """Images per second in each round."""
    single: list[float] = field(default_factory=list)
    """Seconds of each image in each round."""


def with_setting(model: str, setting: Setting, compile: bool) -> Timed:
    """Load a detector for one setting; each has its own, because a compiled detector keeps its numbers."""
    loaded = resolve_model(model)
    settings = (f"rpn.proposals_after_nms={setting.proposals}",)
    config = resolve_config(None, None, settings, {"image_size": setting.image_size}, start=loaded.config)
    proposal_filter = replace(loaded.model.inference_filter, after_nms=setting.proposals)
    model_with = with_settings(loaded.model, image=config.image, inference_filter=proposal_filter)
    detector = Detector(replace(loaded, model=model_with, config=config), device="cpu", compile=compile)
    return Timed(f"{config.image.short_side} pixels, {setting.proposals} proposals", detector)


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
    """Measure all settings in turn, in every round."""
    for number in range(rounds + 1):
        for one in every:
            rate, times = images_per_second(one.detector, paths), list(single_seconds(one.detector, paths))
            if number:
                one.stream.append(rate)
                one.single.extend(times)


def bars_of(setting: Setting, one: Timed) -> list[Bar]:
    """Print what was measured, and judge the stream."""
    stream, single = Spread.of(one.stream), Spread.of(one.single)
    print(
        f"{one.name}: {stream.median:.1f} images per second as a stream ({min(one.stream):.1f} to "
        f"{max(one.stream):.1f}), {1 / single.median:.1f} one at a time: {single}",
        flush=True,
    )
    what = f"images per second as a stream, {one.name}"
    return [
        Bar(what, stream.median, at_least=setting.required),
        Bar(what, stream.median, at_least=setting.goal, goal=True),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = parser_for(__doc__, count=100)
    parser.add_argument("--no-compile", action="store_true", help="do not compile, even where there is a compiler")
    options = parser.parse_args(arguments)
    paths = paths_of(parser, options)
    kind = precision_name(precision_for(resolve_model(options.model), "auto", torch.device("cpu")))
    # A detector in int8 cannot be compiled.
    compiled = not options.no_compile and kind != "int8" and found_compiler() is not None
    every = [with_setting(options.model, setting, compiled) for setting in SETTINGS]
    print(f"{machine()}; in {kind}, {'compiled' if compiled else 'not compiled'}; {len(paths)} images", flush=True)
    measure(every, paths, options.rounds)
    return judge([bar for setting, one in zip(SETTINGS, every, strict=True) for bar in bars_of(setting, one)])


if __name__ == "__main__":
    sys.exit(main())
