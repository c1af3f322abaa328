"""Time of an image of `base` with freed memory kept for the next image, as ours does, against memory returned.

    python benchmarks/memory.py

Both are measured in turn, each in a process of its own, because keeping freed memory is a setting of the whole process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from timing import machine, seconds

from faster_rcnn.benchmark.loading import load_or_build
from faster_rcnn.benchmark.picture import FILE_NAME, made_up_picture, own_size
from faster_rcnn.benchmark.timing import pixels_of
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.system.devices import choose_precision

GIVEN_BACK = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=7"}
"""The default of the C library, given explicitly: then ours respects it and does not keep freed memory."""
IMAGES = 5
"""Images that a process times, after two that are not counted."""


def work(preset: str) -> None:
    """Print the median seconds of an image, and the median number of memory pages that it requests."""
    loaded, device = load_or_build(preset), torch.device("cpu")
    predictor = Predictor(prepare(loaded, device, choose_precision("auto", device), exact=False))
    with TemporaryDirectory() as folder:
        picture = made_up_picture(Path(folder) / FILE_NAME, own_size(loaded.config))
        pixels = pixels_of(predictor, picture)
    times, pages = [], []
    for _ in range(IMAGES + 2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        times.append(seconds(lambda: predictor.predict_one(pixels, conf=0.5)))
        pages.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(median(times[2:]), median(pages[2:]))


def measured(preset: str, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and requested memory pages of an image, measured in a new process."""
    command = [sys.executable, __file__, "--preset", preset, "--work"]
    done = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
    time, pages = done.stdout.split()[-2:]
    return float(time), float(pages)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        work(options.preset)
        return
    print(machine(), flush=True)
    pairs = [(measured(options.preset, {}), measured(options.preset, GIVEN_BACK)) for _ in range(options.rounds)]
    for name, of_one in zip(("kept", "returned"), zip(*pairs, strict=True), strict=True):
        times, pages = zip(*of_one, strict=True)
        print(f"{name}: {1000 * median(times):.0f} ms per image, which requests {median(pages):,.0f} memory pages")
    ratio = median(kept[0] / given_back[0] for kept, given_back in pairs)
    print(f"ratio {ratio:.3f} ({1 / ratio:.2f} times as fast)")


if __name__ == "__main__":
    main()
