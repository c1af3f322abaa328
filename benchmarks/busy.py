"""Time of a training step of `small` beside another program that computes, and what waiting without computing costs.

    python benchmarks/busy.py [--rounds N]

Each time is measured in a process of its own: on an idle machine, and beside one process that keeps one processor busy;
each of the two once with the waiting of threads that ours sets before torch is loaded (`system/waiting.py`), and once
with torch's own, for which torch is imported first. A round measures all four; every second round reverses their order.
A step repeats one batch that is in memory. The ratios are medians over the rounds of ratios within a round. Use an idle
machine: the other program is started here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import product
from pathlib import Path
from statistics import median

import torch
from bars import Bar, judge
from checkouts import OURS, make_data, median_with_range
from timing import machine, seconds

from faster_rcnn.building import build_model
from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.system.waiting import OF_USER
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import batch_of, training_step

MAX_BUSY, MAX_IDLE = 2.5, 1.02
"""Largest time of a step beside one busy process, in multiples of that on an idle machine; and largest time of a step
on an idle machine with the waiting of ours, in multiples of that with torch's own."""
OWN = "torch's own"
FIRST = {"ours": "faster_rcnn", OWN: "torch"}
"""The package that a process imports first, which decides how threads wait."""
STEPS = "import {first}; import sys; from busy import print_steps; print_steps(*map(int, sys.argv[1:]))"
BUSY = "print(flush=True)\nwhile True: pass"
"""A program that keeps one processor busy, and prints an empty line when it starts with that."""
UNCOUNTED = 2
"""First steps of a process, which are not counted."""


def print_steps(steps: int, batch: int, image_size: int) -> None:
    """Print how threads wait, and the median seconds of a training step."""
    config = resolve_config("small", None, ("backbone.weights=none",), {"batch": batch, "image_size": image_size})
    training = config.training.model_copy(update={"workers": 0})
    with tempfile.TemporaryDirectory() as folder:
        split = load_dataset(make_data(Path(folder) / "data", batch), config.data).splits["train"]
        images = batch_of(next(TrainingLoader(split, config.image, training, config.data).epoch(0)).own)
    model = build_model(config, len(split.classes)).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, lr=1e-4, momentum=0.9, weight_decay=1e-4)
    precision = choose_precision("auto", torch.device("cpu"))
    keep_freed_memory()

    def step() -> None:
        training_step(model, optimizer, images, lr=1e-4, clip_norm=10.0, precision=precision)

    times = [seconds(step) for _ in range(UNCOUNTED + steps)]
    print(any(os.environ.get(name) for name in OF_USER), median(times[UNCOUNTED:]))


def step_seconds(waiting: str, options: argparse.Namespace) -> float:
    """Seconds of a training step in a new process whose threads wait as ``FIRST`` names it."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_USER}
    environment["PYTHONPATH"] = os.pathsep.join([str(OURS), str(Path(__file__).parent)])
    sizes = [str(each) for each in (options.steps, options.batch, options.image_size)]
    command = [sys.executable, "-c", STEPS.format(first=FIRST[waiting]), *sizes]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    is_set, time = done.stdout.split()
    if (is_set == "True") != (waiting == "ours"):
        raise SystemExit(f"threads of a process with the waiting of {waiting} do not wait so")
    return float(time)


@contextmanager
def busy_processor() -> Iterator[None]:
    """Keep one processor busy within the context."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            yield
        finally:
            other.kill()


def measured_rounds(options: argparse.Namespace) -> list[dict[tuple[str, str], float]]:
    """Seconds of a step by waiting and state of the machine (``idle`` or ``busy``), for every round."""
    found, cases = [], list(product(FIRST, ("idle", "busy")))
    for number in range(options.rounds):
        one = {}
        for waiting, state in cases if number % 2 == 0 else reversed(cases):
            with busy_processor() if state == "busy" else nullcontext():
                one[waiting, state] = step_seconds(waiting, options)
        found.append(one)
    return found


def bars_of(rounds: Sequence[dict[tuple[str, str], float]]) -> list[Bar]:
    """Print all times with their range, and judge the ratios."""
    for waiting, state in product(FIRST, ("idle", "busy")):
        times = median_with_range([one[waiting, state] for one in rounds])
        print(f"a training step, {state} machine, waiting: {waiting}: {times}", flush=True)
    busy = {waiting: median(one[waiting, "busy"] / one[waiting, "idle"] for one in rounds) for waiting in FIRST}
    idle = median(one["ours", "idle"] / one[OWN, "idle"] for one in rounds)
    print(f"busy / idle with {OWN} waiting: {busy[OWN]:.3f}", flush=True)
    return [
        Bar("a training step beside one busy process, times that on an idle machine", busy["ours"], at_most=MAX_BUSY),
        Bar(f"a training step on an idle machine, times that with {OWN} waiting", idle, at_most=MAX_IDLE),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=15, help="counted steps of each process")
    parser.add_argument("--batch", type=int, help="images per step; the preset's own where not given")
    parser.add_argument("--image-size", type=int, help="pixels of the shorter side; the preset's own where not given")
    options = parser.parse_args(arguments)
    config = resolve_config("small", None, (), {"batch": options.batch, "image_size": options.image_size})
    options.batch, options.image_size = config.training.images_per_step, config.image.short_side
    print(machine(), flush=True)
    return judge(bars_of(measured_rounds(options)))


if __name__ == "__main__":
    sys.exit(main())
