"""Images per second of `faster-rcnn predict --engine ray` on this machine, against those of plain `predict`.

    python benchmarks/ray_data.py --model RUN --images DIR

Both predict the same images in turn, as commands: `--few` of them and all of them. The difference of the two times is
that of the other images, without the start of the processes, which takes Ray longer and does not grow with the images.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from bars import Bar, judge
from pictures import parser_for, paths_of
from timing import machine

THROUGHPUT = 0.8
"""What is left of the throughput of plain `predict`, at least."""


def seconds_of(command: Sequence[str]) -> float:
    """The time that a command takes; raises where it fails."""
    start = time.monotonic()
    subprocess.run([sys.executable, "-m", "faster_rcnn", *command], check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - start


def throughput(predict: Callable[[Sequence[Path]], float], paths: Sequence[Path], few: int) -> float:
    """Images per second beyond the first few."""
    return (len(paths) - few) / (predict(paths) - predict(paths[:few]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = parser_for(__doc__, count=500)
    parser.set_defaults(rounds=1)
    parser.add_argument("--few", type=int, default=50, help="how many images the shorter run predicts")
    options = parser.parse_args(arguments)
    paths = paths_of(parser, options)
    if not 0 < options.few < len(paths):
        parser.error(f"--few {options.few}: it must be more than 0 and fewer than the {len(paths)} images")
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:

        def named(images: Sequence[Path]) -> list[str]:
            return ["predict", options.model, *map(str, images)]

        def plainly(images: Sequence[Path]) -> float:
            return seconds_of([*named(images), "--json", f"{folder}/found.jsonl"])

        def with_ray(images: Sequence[Path]) -> float:
            shutil.rmtree(f"{folder}/results", ignore_errors=True)
            return seconds_of([*named(images), "--engine", "ray", "--out", f"{folder}/results"])

        ratios = []
        for _ in range(options.rounds):
            plain, ray = (throughput(way, paths, options.few) for way in (plainly, with_ray))
            print(f"plain {plain:.2f} images/s, Ray {ray:.2f} images/s", flush=True)
            ratios.append(ray / plain)
    return judge([Bar(f"throughput with Ray to plain, {len(paths)} images", median(ratios), at_least=THROUGHPUT)])


if __name__ == "__main__":
    sys.exit(main())
