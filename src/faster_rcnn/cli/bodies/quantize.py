"""``faster-rcnn quantize``: measure what a detector's features range over, so that it can work in 8 bits on a CPU.

The weights in the file stay what they were; what they are in 8 bits is worked out when it is loaded. What 8 bits save
and what they cost is measured at once, on the images that the detector is to be judged by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.quantization import calibrate, quantized_model
from faster_rcnn.benchmark.timing import runner_of, time_contenders
from faster_rcnn.benchmark.values import Contender
from faster_rcnn.cli.order import refuse_swapped
from faster_rcnn.cli.outputs import STDOUT, model_file, require_file, require_json, write_json
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.errors import DatasetError, ImageError, MachineError, OptionError
from faster_rcnn.evaluation.detector import measure_detector, settings_for, tell_split
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.kernels.int8_layers import Range, weight_limit
from faster_rcnn.system.console import say, warn
from faster_rcnn.system.devices import choose_device, choose_precision
from faster_rcnn.system.progress import counted
from faster_rcnn.weights.foreign.published import resolve_model
from faster_rcnn.weights.model_file import LoadedModel, save_model

CPU, INT8 = torch.device("cpu"), torch.int8
LEAST_SPEED, MOST_LOST = 1.3, 0.005
"""What 8 bits are worth their while for: times the speed of floats, and AP."""
TIMED, ROUNDS = 10, 3
"""Images at most, and how often each."""


@dataclass(frozen=True, slots=True)
class Gain:
    """8 bits beside floats: seconds of the same images in turn, and AP on the same part of the data."""

    floats: Contender
    eight_bits: Contender
    metrics_of_floats: Metrics
    metrics: Metrics
    part: str

    @property
    def speed(self) -> float:
        """How many times as fast 8 bits are."""
        return self.floats.seconds.median / self.eight_bits.seconds.median

    @property
    def lost(self) -> float | None:
        """AP, or nothing where there is nothing to find."""
        before, after = self.metrics_of_floats.ap, self.metrics.ap
        return None if before is None or after is None else before - after

    def __str__(self) -> str:
        before, after = self.metrics_of_floats.ap, self.metrics.ap
        ap = f"there is nothing to find in {self.part}, so no AP"
        if before is not None and after is not None:
            ap = f"AP on {self.part} is {after:.4f}, and {before:.4f} in {self.floats.precision}"
        return (
            f"8 bits are {self.speed:.2f} times as fast as {self.floats.precision}, pixels to boxes: "
            f"{self.eight_bits.seconds} and {self.floats.seconds}; {ap}"
        )

    def to_json(self) -> dict[str, Any]:
        """Times in seconds."""
        return {
            "speed": self.speed,
            "ap_lost": self.lost,
            "part": self.part,
            "floats": {**self.floats.to_json(), "ap": self.metrics_of_floats.ap},
            "eight_bits": {**self.eight_bits.to_json(), "ap": self.metrics.ap},
        }


def run(
    model: str, data: Path, *, count: int, split: str | None, out: Path, json: str | None, device: str = "auto"
) -> int:
    """Measure the ranges, write the file, and tell what 8 bits gain; returns the exit code."""
    refuse_swapped("quantize", model, [data])
    if device != "auto" and choose_device(device) != CPU:
        raise OptionError(f"--device {device}: 8 bits are for CPUs, on which they are measured, too; leave it out")
    require_json(json, [model_file(model), data])
    require_file("--out", out, [model_file(model), data])
    if count < 1:
        raise OptionError(f"--count {count}: ranges are measured in one image at least", code="E125")
    if weight_limit() == 0:
        raise MachineError("this PyTorch, or this processor, has no convolutions in 8 bits")
    loaded = resolve_model(model)
    if loaded.config.detector.kind == "fast-rcnn":
        raise OptionError(f"{model} is a Fast R-CNN: the search for its proposals takes its time, which 8 bits leave")
    dataset = load_split(data, settings_for(data, loaded.config.data), split, also=("train",))
    part, train = tell_split(dataset, split), dataset.split("train")
    for note in train.notes if train is not part else ():
        say(note)
    ranges, looked_at = _ranges(loaded, _spread(train.records, count))
    save_model(out, loaded.model, loaded.config, loaded.classes, ranges)
    say(f"wrote {out}: the detector of {model}, and the ranges of its features in {looked_at} images of train")
    quantized = replace(loaded, ranges=ranges)
    gain = _gain(quantized, part, model)
    say(str(gain))
    _judge(gain, out, model)
    if json is not None:
        write_json(json, gain.to_json())
    if json is not None and json != STDOUT:
        say(f"numbers in {json}")
    return 0


def _spread(records: Sequence[ImageRecord], count: int) -> list[Path]:
    """Files of so many images, evenly over all: neighbours in a folder are often alike."""
    most = min(count, len(records))
    return [records[place * len(records) // most].path for place in range(most)]


def _ranges(loaded: LoadedModel, paths: Sequence[Path]) -> tuple[dict[str, Range], int]:
    """The ranges, and in how many images they were measured."""
    network = prepare_for_inference(loaded.model, choose_precision("auto", CPU), exact=False)
    most_pixels = loaded.config.data.max_pixels
    damaged: list[str] = []

    def images() -> Iterator[Tensor]:
        for path in counted(paths, "images looked at", len(paths)):
            try:
                yield to_pixels(path, str(path), most_pixels)
            except ImageError as error:
                damaged.append(str(error))
                warn(f"{error}; it is left out")

    found = calibrate(network, images())
    if len(damaged) == len(paths):
        raise DatasetError("no image of train can be decoded, so there are no ranges", code="E122")
    try:
        quantized_model(network, found)
    except KeyError as error:
        raise DatasetError(
            f"layer {error} saw nothing in {len(paths) - len(damaged)} images, as nothing was proposed there: train "
            "the detector, or look at more of its images, --count",
            code="E122",
        ) from error
    return found, len(paths) - len(damaged)


def _gain(quantized: LoadedModel, part: Split, model: str) -> Gain:
    floats, eight_bits = (
        Predictor(quantized, CPU, precision, exact=False, batch=1)
        for precision in (choose_precision("auto", CPU), INT8)
    )
    paths = _spread(part.records, TIMED)
    other, ours = time_contenders(floats, [runner_of("8 bits", eight_bits)], paths, ROUNDS)
    return Gain(
        other, ours, measure_detector(floats, part, model), measure_detector(eight_bits, part, model), part.name
    )


def _judge(gain: Gain, out: Path, model: str) -> None:
    """How the file is used, or why it had better not be."""
    reasons = []
    if gain.speed < LEAST_SPEED:
        reasons.append(f"it is {gain.speed:.2f} times as fast here, less than {LEAST_SPEED:g}")
    if gain.lost is not None and gain.lost > MOST_LOST:
        reasons.append(f"it loses {100 * gain.lost:.2f} points of AP, more than {100 * MOST_LOST:g}")
    if reasons:
        warn(f"{out} is not worth its while: {' and '.join(reasons)}. Stay with {model}")
    else:
        say(f"{out} works in 8 bits on CPUs that are faster in them: faster-rcnn predict {out} IMAGES")
