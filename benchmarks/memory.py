"""An image of `base`, with memory kept from one image to the next as ours does it, against memory given back.

    python benchmarks/memory.py

Each works in a process of its own, in turn, since how freed memory is kept is a setting of the whole process.
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
"""glibc's default value; but with any setting of the user the library keeps all of glibc's behaviour."""
IMAGES = 5
"""Images that one process times, after two that do not count."""


def work(preset: str) -> None:
    """In a process of its own: print the median of seconds, and of pages asked for, of an image."""
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
    """Seconds and pages of an image, in a new process."""
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
    for name, of_one in zip(("kept", "given back"), zip(*pairs, strict=True), strict=True):
        times, pages = zip(*of_one, strict=True)
        print(f"{name}: {1000 * median(times):.0f} ms an image, for which the system maps {median(pages):,.0f} pages")
    ratio = median(kept[0] / given_back[0] for kept, given_back in pairs)
    print(f"ratio {ratio:.3f} ({1 / ratio:.2f} times as fast)")


if __name__ == "__main__":
    main()
