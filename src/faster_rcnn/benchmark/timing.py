"""Times a detector image by image: each stage, whole calls, a stream, and other detectors in turn with it."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median_low

import torch
from torch import Tensor

from faster_rcnn._version import __version__
from faster_rcnn.benchmark.roofline import Roofline, Work, measure_roofline, work_of
from faster_rcnn.benchmark.runtimes import Runner
from faster_rcnn.benchmark.stages import ImageTimes, batch_of, detect_in_parts
from faster_rcnn.benchmark.values import Contender, Machine, Spread
from faster_rcnn.errors import ImageError
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.system.devices import instruction_sets, onednn_supports_bfloat16, precision_name
from faster_rcnn.system.progress import counted
from faster_rcnn.system.timing import timed

VERSIONS = ("torch", "torchvision")
"""Packages on which the times depend, besides this one."""
MIN_SCORE = 0.0
"""Lowest score of the detections: only the model's own threshold decides."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Times of one detector."""

    times: tuple[ImageTimes, ...]
    """Times of the stages, for every image in every round."""
    latency: tuple[float, ...]
    """Seconds from file to boxes by the call that users make, for every image in every round."""
    stream: tuple[float, ...]
    """Images per second of each round."""


def time_detector(predictor: Predictor, images: Sequence[Path], rounds: int) -> Timed:
    """Time stages and whole calls in turn, then a stream, in each round; a first round, not counted, warms up.

    Raises:
        ImageError: an image cannot be decoded.
    """
    first = list(dict.fromkeys(images))  # every size has kernels chosen for it once
    for path in first:
        _both(predictor, path)
    work = [path for _ in range(rounds) for path in images]
    pairs = [_both(predictor, path) for path in counted(work, "images timed", len(work))]
    stream = [_rate(predictor, images) for _ in counted(range(rounds), "streams timed", rounds)]
    return Timed(tuple(times for times, _ in pairs), tuple(seconds for _, seconds in pairs), tuple(stream))


def roofline_of(predictor: Predictor, images: Sequence[Path]) -> Roofline:
    """The roofline of the image with the median number of operations, which depends on its padded size."""
    found: dict[tuple[int, ...], Work] = {}
    of_images = []
    for path in images:
        # The plain detector: torch's counter does not cover every operator of the accelerated ones.
        batch = batch_of(predictor.detector.model, pixels_of(predictor, path)).pixels
        if batch.shape not in found:
            found[batch.shape] = work_of(predictor.detector.model, batch, predictor.detector.floats)
        of_images.append(found[batch.shape])
    middle = median_low(each.operations for each in of_images)
    work = next(each for each in of_images if each.operations == middle)
    return measure_roofline(work, predictor.detector.floats, predictor.detector.device)


def time_contenders(
    ours: Predictor, others: Sequence[Runner], images: Sequence[Path], rounds: int
) -> tuple[Contender, ...]:
    """Time all detectors on the same decoded images, in turn, ours first; a first round, not counted, warms them up.

    The time of each includes its preprocessing, and for the others the conversion to floats in 0..1.
    """
    every = [runner_of("ours", ours), *others]
    seconds: list[list[float]] = [[] for _ in every]
    counts = [0] * len(every)
    for path in dict.fromkeys(images):
        pixels = pixels_of(ours, path)
        for one in every:
            one.detect(pixels)
    work = [(number, path) for number in range(rounds) for path in images]
    for number, path in counted(work, "images timed beside others" if others else "images timed", len(work)):
        pixels = pixels_of(ours, path)
        for index, one in enumerate(every):
            each, boxes = timed(partial(one.detect, pixels), ours.detector.device)
            seconds[index].append(each)
            counts[index] += 0 if number else len(boxes)
    measured = zip(every, seconds, counts, strict=True)
    return tuple(Contender(one.name, one.precision, Spread.of(each), count) for one, each, count in measured)


def runner_of(name: str, predictor: Predictor) -> Runner:
    """One of our detectors as a function from decoded pixels to boxes (N, 4)."""
    precision = precision_name(predictor.detector.precision)
    return Runner(name, precision, lambda pixels: predictor.predict_one(pixels, MIN_SCORE).boxes)


def peak_memory() -> int:
    """Peak main memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kilobytes elsewhere


def machine_of(predictor: Predictor) -> Machine:
    """The machine, and how the predictor uses it."""
    on_cpu = predictor.detector.device.type == "cpu"
    return Machine(
        device=str(predictor.detector.device),
        instruction_sets=tuple(instruction_sets()),
        onednn_bfloat16=on_cpu and predictor.detector.floats == torch.bfloat16 and onednn_supports_bfloat16(),
        threads=torch.get_num_threads(),
        processors=os.cpu_count() or 1,
        versions={"faster-rcnn": __version__, **{name: metadata.version(name) for name in VERSIONS}},
    )


def pixels_of(predictor: Predictor, path: Path) -> Tensor:
    """A decoded uint8 image (3, height, width); raises ``ImageError`` where it cannot be decoded."""
    try:
        return to_pixels(path, str(path), predictor.config.data.max_pixels)
    except ImageError as error:
        raise ImageError(f"{error.text}; it cannot be timed. Mend or remove it", code=error.code) from error


def _both(predictor: Predictor, path: Path) -> tuple[ImageTimes, float]:
    """Times of an image's stages, and seconds of the call that users make."""
    with predictor.detector.computing():
        times, _ = detect_in_parts(predictor.detector.network, partial(pixels_of, predictor, path))
    seconds, _ = timed(partial(predictor.predict_one, path, MIN_SCORE), predictor.detector.device)
    return times, seconds


def _rate(predictor: Predictor, images: Sequence[Path]) -> float:
    """Images per second as a stream."""
    start = time.perf_counter()
    for _ in predictor.stream(images, MIN_SCORE):
        pass
    return len(images) / (time.perf_counter() - start)
