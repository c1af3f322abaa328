"""Whether this code is as fast as another checkout: the time of an image and of a training step, in turn.

    python benchmarks/before_after.py --against OTHER/src [--presets small,base]

Every time is measured in a process of its own, this code and the other in turn, and the order changes with each round.
An image is predicted from its file to its boxes by the same model file with random weights, once in float32, in which
results are exact, and once in the precision that `auto` chooses. A training step is measured within `Detector.train`,
in the precision that `auto` chooses: the seconds of a run of some steps, with one image to validate on, divided by the
number of steps. Each first piece of work of a process is not counted. The bar is 1.02 times the time of the other code;
the ratio is the median over the rounds. Use an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bars import Bar, judge
from checkouts import OURS, make_data, median_with_range, output_of, run_command
from timing import machine

MAX_RATIO = 1.02
"""Time of this code divided by that of the other one."""
BATCH = 2
PREDICT = """
import sys, time
from faster_rcnn import Detector
model, precision, image, count = sys.argv[1:]
detector = Detector.load(model, device="cpu", precision=precision)
times = []
for _ in range(2 + int(count)):
    start = time.perf_counter()
    detector.predict(image)
    times.append(time.perf_counter() - start)
print(sorted(times[2:])[int(count) // 2])
"""
TRAIN = """
import sys, time
from pathlib import Path
from faster_rcnn import Detector
preset, out, image_size, batch, *data = sys.argv[1:]
options = dict(model=preset, epochs=1, batch=int(batch), seed=0, device="cpu", workers=0)
if image_size != "None":
    options["image_size"] = int(image_size)
for number, each in enumerate(data):
    start = time.perf_counter()
    Detector.train(each, out=Path(out) / str(number), settings=["backbone.weights=none"], **options)
    taken = time.perf_counter() - start
print(taken)
"""
"""Trains on every data set in turn and prints the seconds of the last run."""

Measure = Callable[[Path], float]
"""Seconds of the code in a folder ``src``."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, required=True, help="the src folder of another checkout")
    parser.add_argument("--presets", default="small,base")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=10, help="images predicted in each process")
    parser.add_argument("--steps", type=int, default=8, help="training steps in each process")
    parser.add_argument("--image-size", type=int, help="pixels of the shorter side; the preset's own where not given")
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        bars = [bar for name in options.presets.split(",") for bar in bars_of(name, Path(folder) / name, options)]
    return judge(bars)


def bars_of(preset: str, folder: Path, options: argparse.Namespace) -> list[Bar]:
    """Time an image in both precisions and a training step of one preset."""
    first, data = make_data(folder / "first", BATCH), make_data(folder / "data", BATCH * options.steps)
    size = [] if options.image_size is None else ["--image-size", options.image_size]
    model = folder / "model"
    chosen = ["--epochs", 1, "--batch", BATCH, "--seed", 0, "--device", "cpu", "--set", "backbone.weights=none"]
    run_command(options.against, "train", first, "--model", preset, *size, *chosen, "--out", model)
    image = data / "images" / "val-000.png"

    def image_seconds(precision: str) -> Measure:
        return lambda source: float(output_of(source, PREDICT, model, precision, image, options.images))

    def step_seconds(source: Path) -> float:
        with tempfile.TemporaryDirectory() as out:
            taken = float(output_of(source, TRAIN, preset, out, options.image_size, BATCH, first, data))
        return taken / int(options.steps)

    return [
        in_turn(f"an image of {preset} in float32", image_seconds("float32"), options),
        in_turn(f"an image of {preset} in the precision of auto", image_seconds("auto"), options),
        in_turn(f"a training step of {preset}", step_seconds, options),
    ]


def in_turn(what: str, measure: Measure, options: argparse.Namespace) -> Bar:
    """Measure both codes in every round, print both medians with their range, and judge the ratio."""
    pairs = []
    for number in range(options.rounds):
        turns = (OURS, options.against) if number % 2 == 0 else (options.against, OURS)
        found = {source: measure(source) for source in turns}
        pairs.append((found[OURS], found[options.against]))
    after, before = ([pair[side] for pair in pairs] for side in (0, 1))
    ratio = statistics.median(mine / other for mine, other in pairs)
    times = f"before {median_with_range(before, 4)}, after {median_with_range(after, 4)}"
    print(f"time of {what}: {times}, ratio {ratio:.3f}", flush=True)
    return Bar(f"time of {what}, times that before", ratio, at_most=MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
