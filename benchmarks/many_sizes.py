"""Training on images of many sizes: with as many compiled operations kept as ours keeps, against oneDNN's own number.

    python benchmarks/many_sizes.py [--sizes 24] [--rounds 3]

A process trains `small` on batches that are padded to `--sizes` different sizes, in turn, once uncounted and then once
more. The time is that of a step, the memory that of the process at its end. No bar: the ratio is printed.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median

import torch
from checkouts import OURS, median_with_range
from timing import machine, seconds

from faster_rcnn.building import build_model
from faster_rcnn.settings.presets import preset
from faster_rcnn.structures import GroundTruth, ImageSize, TrainingBatch
from faster_rcnn.system.devices import choose_precision
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.system.primitives import KEPT, OF_USER
from faster_rcnn.training.optimizer import build_optimizer
from faster_rcnn.training.step import training_step

OWN = "1024"
"""The number that oneDNN keeps by itself."""
STEPS = "import faster_rcnn, sys; from many_sizes import print_steps; print_steps(*map(int, sys.argv[1:]))"


def sizes_of(count: int, side: int) -> list[ImageSize]:
    """Different sizes whose sides are ``side`` and more, in steps of 32 pixels, the smallest ones in any order."""
    longer = range(side, side + 32 * math.ceil(math.sqrt(count)), 32)
    return random.Random(0).sample([ImageSize(height, width) for height in longer for width in longer], count)


def print_steps(count: int, batch: int, side: int) -> None:
    """Print the mean seconds of a step of the second pass over all sizes, and the resident memory in MB."""
    keep_freed_memory()
    model = build_model(preset("small"), 3).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, lr=1e-5, momentum=0.9, weight_decay=1e-4)
    precision = choose_precision("auto", torch.device("cpu"))
    truth = GroundTruth(torch.tensor([[8.0, 8, 56, 48]]), torch.tensor([0]), torch.tensor([False]))
    times = []
    for number, size in enumerate([*sizes_of(count, side)] * 2):
        pixels = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
        images = TrainingBatch((pixels,) * batch, (truth,) * batch, tuple(range(batch)))

        def step(images: TrainingBatch = images) -> None:
            training_step(model, optimizer, images, lr=1e-5, clip_norm=10.0, precision=precision)

        each = seconds(step)
        times += [each] if number >= count else []
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    print(fmean(times), pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


def measured(kept: str | None, options: argparse.Namespace) -> tuple[float, float]:
    """Seconds of a step and memory of a new process; ``kept`` is set as a user would, ``None`` leaves it to ours."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_USER}
    environment["PYTHONPATH"] = os.pathsep.join([str(OURS), str(Path(__file__).parent)])
    if kept is not None:
        environment[KEPT[0]] = kept
    command = [sys.executable, "-c", STEPS, str(options.sizes), str(options.batch), str(options.image_size)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    time, memory = map(float, done.stdout.split())
    return time, memory


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, default=24, help="how many different sizes")
    parser.add_argument("--batch", type=int, default=4, help="images per step")
    parser.add_argument("--image-size", type=int, default=416, help="pixels of the shorter side")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    rounds = [(measured(None, options), measured(OWN, options)) for _ in range(options.rounds)]
    for name, index in (("ours", 0), (f"{OWN} operations", 1)):
        times = median_with_range([each[index][0] for each in rounds])
        print(
            f"{name}: a step takes {times}, the process {median(each[index][1] for each in rounds):.0f} MB", flush=True
        )
    print(f"ratio of the times: {median(ours[0] / own[0] for ours, own in rounds):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
