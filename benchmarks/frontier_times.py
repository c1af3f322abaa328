"""Time and arithmetic of the detectors that `frontier.py` has trained, measured in turn.

    python benchmarks/frontier_times.py --out DIR --images DIR --variants small plain [--precision auto]

`--out` is that of `frontier.py`. Each round predicts all images with every variant, one file at a time and as a stream,
from the file to the boxes; ratios to the first variant are those within a round. Each variant becomes a line of
`--results`. The arithmetic is that of one image: of body, neck and head of the first stage, and of the second stage
with the proposals that the image has.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from frontier_results import append_line
from frontier_run import commit
from frontier_variants import VARIANTS
from timing import machine, seconds
from torch.utils.flop_counter import FlopCounterMode

from faster_rcnn import Detector
from faster_rcnn.choices import Precision
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.sources import find_images
from faster_rcnn.stages import ROI_OUTPUT, evaluating, until
from faster_rcnn.system.devices import choose_precision, precision_name, widest_instructions
from faster_rcnn.training.run_folder import LAST

RESULTS = Path(__file__).parent / "results" / "frontier_times.jsonl"
PRECISION_HELP = "the line holds what auto means on this machine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """One variant on one machine."""

    variant: str
    settings: str
    against: str
    """The first variant, of whose times the ratios are shares."""
    gflop: float
    milliseconds: float
    """Of one file at a time."""
    ratio: float
    stream_images_per_second: float
    stream_ratio: float
    precision: str
    processor: str
    threads: int
    commit: str


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    paths = [Path(name) for name in find_images(options.images).names[: options.count]]
    detectors = {name: _detector(options.out, name, options.precision) for name in options.variants}
    print(f"{machine()}; {len(paths)} images", flush=True)
    ways = {"single": _one_at_a_time, "stream": _as_stream}
    of_images: dict[tuple[str, str], list[float]] = {(name, way): [] for name in detectors for way in ways}
    for number in range(options.rounds + 1):  # the first round warms up
        for name, detector in detectors.items():
            for way, measure in ways.items():
                each = seconds(partial(measure, detector, paths)) / len(paths)
                of_images[name, way] += [each] if number else []
    first = options.variants[0]
    for name, detector in detectors.items():
        single, stream = of_images[name, "single"], of_images[name, "stream"]
        times = Times(
            variant=name,
            settings=str(VARIANTS[name]),
            against=first,
            gflop=round(gflop(detector, paths[0]), 2),
            milliseconds=round(1000 * median(single), 1),
            ratio=_ratio(single, of_images[first, "single"]),
            stream_images_per_second=round(1 / median(stream), 1),
            stream_ratio=_ratio(stream, of_images[first, "stream"]),
            precision=precision_name(choose_precision(options.precision, torch.device("cpu"))),
            processor=widest_instructions(),
            threads=torch.get_num_threads(),
            commit=commit(),
        )
        print(times, flush=True)
        append_line(options.results, times)
    return 0


def gflop(detector: Detector, path: Path) -> float:
    """Thousands of millions of additions and multiplications in the layers of both stages for one image."""
    model = detector.model
    [group] = model.preparation.groups([to_pixels(path, str(path), detector.config.data.max_pixels)])
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), evaluating(model), counter:
        until(model.stages(group.images), ROI_OUTPUT)
    return float(counter.get_total_flops()) / 1e9


def _detector(out: Path, variant: str, precision: Precision) -> Detector:
    run = re.compile(rf"{re.escape(variant)}-\w+--?\d+-seed-\d+")
    found = sorted(path for path in out.glob(f"*/{LAST}") if run.fullmatch(path.parent.name))
    if not found:
        raise SystemExit(f"{out} has no detector of the variant {variant}: python benchmarks/frontier.py trains it")
    return Detector.load(found[0], device="cpu", precision=precision)


def _one_at_a_time(detector: Detector, paths: Sequence[Path]) -> None:
    for path in paths:
        detector.predict(path)


def _as_stream(detector: Detector, paths: Sequence[Path]) -> None:
    for _ in detector.predict(iter(paths)):
        pass


def _ratio(mine: Sequence[float], other: Sequence[float]) -> float:
    return round(median(one / two for one, two in zip(mine, other, strict=True)), 3)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the trained detectors")
    parser.add_argument("--images", required=True, nargs="+", help="files, folders or patterns")
    parser.add_argument("--variants", required=True, nargs="+", choices=VARIANTS, help="the first one is compared with")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help=PRECISION_HELP)
    parser.add_argument("--count", type=int, default=30, help="how many of the images at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of lines that is added to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
