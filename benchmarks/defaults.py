"""AP and time of training with no option but DATA, against another checkout, on small data sets.

    python benchmarks/defaults.py --data DIR --against SRC [--seeds 0 1 2] [--sets fruits18 raccoon bccd] [--out DIR]

DIR holds the folders `fruits18` (measured on train), `raccoon` (on val) and `bccd` (on test); SRC is the folder `src`
of the other checkout. Both codes train with the same seeds, in turn, each run in a process of its own, and the code
that trained a model measures it in float32. AP is the mean over the seeds. Times are those of whole commands, including
the reading of the data, and their ratio is the median over the seeds. Without `--against` the numbers are printed and
nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory

from bars import Bar, judge
from checkouts import OURS, run_command
from timing import machine

SPLITS = {"fruits18": "train", "raccoon": "val", "bccd": "test"}
"""Data sets, and the split that each is measured on."""
TIMES = {"raccoon": 1.5, "bccd": 1.0}
"""Data sets whose training is timed, and the highest ratio of our time to the other one's."""
HIGHER = ("fruits18", "raccoon")
"""Data sets of few images, where AP must be higher; elsewhere it must be no lower."""
MIN_GAIN = 0.0001
"""Smallest difference of AP that counts as higher."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run gives."""

    ap: float
    seconds: float


def run(source: Path, data: Path, split: str, seed: int, folder: Path) -> Outcome:
    """Train and measure with the code in ``source``."""
    start = time.perf_counter()
    run_command(source, "train", data, "--seed", seed, "--out", folder)
    seconds = time.perf_counter() - start
    numbers = folder / "numbers.json"
    run_command(source, "evaluate", folder, data, "--split", split, "--precision", "float32", "--json", numbers)
    return Outcome(json.loads(numbers.read_text(encoding="utf-8"))["AP"] or 0.0, seconds)


def bars(name: str, ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> list[Bar]:
    """The bars of one data set; the outcomes of both codes are in the order of their seeds."""
    wanted = fmean(each.ap for each in theirs) + (MIN_GAIN if name in HIGHER else 0.0)
    found = [Bar(f"{name}: mean AP", fmean(each.ap for each in ours), at_least=wanted)]
    if name in TIMES:
        ratio = median(mine.seconds / other.seconds for mine, other in zip(ours, theirs, strict=True))
        found.append(Bar(f"{name}: time of training, times the other's", ratio, at_most=TIMES[name]))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--against", type=Path, help="folder src of another checkout")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sets", nargs="+", choices=SPLITS, default=list(SPLITS), help="which of the data sets")
    parser.add_argument("--out", type=Path, help="folder for the runs, which are kept there")
    options = parser.parse_args(arguments)
    print(machine(), flush=True)
    sources = {"ours": OURS}
    if options.against is not None:
        sources["other"] = options.against
    with TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary)
        found = {name: compared(options.data / name, options.seeds, sources, folder) for name in options.sets}
    if options.against is None:
        return 0
    return judge([bar for name, each in found.items() for bar in bars(name, each["ours"], each["other"])])


def compared(data: Path, seeds: Sequence[int], sources: Mapping[str, Path], folder: Path) -> dict[str, list[Outcome]]:
    """Train every source with every seed, in turn; the source that begins changes with the seed."""
    found: dict[str, list[Outcome]] = {who: [] for who in sources}
    for number, seed in enumerate(seeds):
        turns = list(sources)
        for who in turns if number % 2 == 0 else reversed(turns):
            outcome = run(sources[who], data, SPLITS[data.name], seed, folder / f"{data.name}-{who}-{seed}")
            print(f"{data.name}, seed {seed}, {who}: AP {outcome.ap:.4f}, {outcome.seconds:.1f} s", flush=True)
            found[who].append(outcome)
    for who, outcomes in found.items():
        mean, seconds = fmean(each.ap for each in outcomes), median(each.seconds for each in outcomes)
        print(f"{data.name}, {who}: mean AP {mean:.4f}, median {seconds:.1f} s", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
