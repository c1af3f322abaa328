"""Accuracy of variants of a detector, each trained on folds of the training splits of some data.

    python benchmarks/frontier.py --data bccd=DIR raccoon=DIR --variants small plain --out DIR [--minutes 60]

Every variant is trained on two thirds of each training split, and the AP of its last epoch is measured on the other
third, so that no validation or test split is read before `--final`. A run that has ended is a line of `--results` and
is not done again: the same command goes on where it stopped, on any day. `--at-once 2` trains two variants at a time,
on half of the threads each, which is sooner done than one after the other. At the end stands a table of all lines, for
each instruction set and precision apart. `frontier_times.py` measures the times of the trained detectors.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from frontier_results import RESULTS, read_runs, table_of
from frontier_run import place
from frontier_variants import FINAL, VARIANTS, Fold, fold_of
from timing import machine

FINAL_HELP = "train on the whole split and measure on the split test, else val: once, for the variants that are left"


@dataclass(frozen=True, slots=True)
class Job:
    """A run that is not done yet."""

    variant: str
    fold: Fold
    seed: int

    def __str__(self) -> str:
        return f"{self.variant}-{self.fold.data}-{self.fold.number}-seed-{self.seed}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    folds = [_fold(each, options) for each in options.data]
    done = {run.key for run in read_runs(options.results)}
    jobs = [
        Job(variant, fold, seed)
        for seed in options.seeds
        for variant in options.variants
        for fold in folds
        if (variant, fold.data, fold.number, seed, options.images, *place()) not in done
    ]
    print(f"{machine()}; {len(jobs)} runs are missing", flush=True)
    end = time.monotonic() + 60 * options.minutes
    with ThreadPoolExecutor(options.at_once) as pool:
        ended = sum(pool.map(lambda job: _run(job, options, end), jobs))
    print(table_of(read_runs(options.results), options.variants[0]))
    if ended < len(jobs):
        print(f"{len(jobs) - ended} runs are missing still; the same command goes on with them")
    return 0


def _run(job: Job, options: argparse.Namespace, end: float) -> bool:
    """Train and measure in a process of its own; ``False`` where the minutes have passed before."""
    if time.monotonic() > end:
        return False
    start, out = time.monotonic(), options.out / str(job)
    shutil.rmtree(out, ignore_errors=True)  # of a run that did not end
    threads = max(1, torch.get_num_threads() // options.at_once)
    given = {
        "variant": job.variant,
        "fold": job.fold,
        "seed": job.seed,
        "threads": threads,
        "out": out,
        "results": options.results,
        "images": options.images,
    }
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    in_a_process(words, threads)
    print(f"{job}: {time.monotonic() - start:.0f} s", flush=True)
    return True


def in_a_process(words: Sequence[str], threads: int) -> None:
    """Do one run with the options of ``frontier_run.py``; raises ``CalledProcessError`` where it fails."""
    program = [sys.executable, str(Path(__file__).with_name("frontier_run.py")), *words]
    subprocess.run(program, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, check=True)


def _fold(given: str, options: argparse.Namespace) -> Fold:
    name, _, folder = given.partition("=")
    if not re.fullmatch(r"\w+", name) or not folder:
        raise SystemExit(f"--data {given}: it is NAME=DIR, with a name of letters, digits and underscores")
    return fold_of(name, Path(folder), options.fold, options.out / "folds")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, nargs="+", help="NAME=DIR: labelled images with a split train")
    parser.add_argument("--variants", required=True, nargs="+", choices=VARIANTS, help="the first one is compared with")
    parser.add_argument("--out", type=Path, required=True, help="folder for the folds and the trained detectors")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of lines that is read and added to")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    fold = parser.add_mutually_exclusive_group()
    fold.add_argument("--fold", type=int, default=0, help="which third of a training split is measured: 0, 1 or 2")
    fold.add_argument("--final", dest="fold", action="store_const", const=FINAL, help=FINAL_HELP)
    parser.add_argument("--images", type=int, default=960, help="that training takes, in whole epochs of the fold")
    parser.add_argument("--minutes", type=float, default=60, help="after which no other run begins")
    parser.add_argument("--at-once", type=int, default=1, help="how many runs are trained at a time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
