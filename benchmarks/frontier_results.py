"""Lines of results of `frontier.py`: what was trained and measured, on which processor, in which precision."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

RESULTS = Path(__file__).parent / "results" / "frontier.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One trained detector."""

    variant: str
    settings: str
    """Preset and settings of the variant."""
    data: str
    fold: int
    seed: int
    images: int
    """Number of images that training took, each epoch anew; rounded to whole epochs of the fold."""
    ap: float
    ap50: float
    ap75: float
    seconds: float
    """Of training on ``threads`` threads; other runs may have shared the machine."""
    threads: int
    processor: str
    """The widest instruction set."""
    precision: str
    commit: str

    @property
    def key(self) -> tuple[object, ...]:
        """Runs with the same key are the same measurement."""
        return self.variant, self.data, self.fold, self.seed, self.images, self.processor, self.precision


def read_runs(path: Path) -> list[Run]:
    """The lines of a file of results, which need not exist."""
    if not path.exists():
        return []
    return [Run(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def append_line(path: Path, measured: DataclassInstance) -> None:
    """Add what was measured as a line to a file of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(measured)) + "\n")


def table_of(runs: Sequence[Run], first: str) -> str:
    """Mean AP of each variant on each data set, and the difference to the variant ``first`` where both were run.

    Only runs of one instruction set, precision and length are compared, and only those of the same data, fold and seed.
    """
    lines = []
    for place in dict.fromkeys(_place(run) for run in runs):
        own = [run for run in runs if _place(run) == place]
        lines += [f"{place[0]}, {place[1]}, {place[2]:,} images in training", *_rows(own, first), ""]
    return "\n".join(lines)


def _place(run: Run) -> tuple[str, str, int]:
    return run.processor, run.precision, run.images


def _rows(runs: Sequence[Run], first: str) -> list[str]:
    base = {(run.data, run.fold, run.seed): run.ap for run in runs if run.variant == first}
    names = list(dict.fromkeys(run.data for run in runs))
    rows = [
        f"| variant | runs | {' | '.join(names)} | mean difference | seconds |",
        f"|---{'|---' * (len(names) + 3)}|",
    ]
    for variant in dict.fromkeys(run.variant for run in runs):
        own = [run for run in runs if run.variant == variant]
        cells: dict[str, list[float]] = defaultdict(list)
        gains: dict[str, list[float]] = defaultdict(list)
        for run in own:
            cells[run.data].append(run.ap)
            if (run.data, run.fold, run.seed) in base:
                gains[run.data].append(run.ap - base[run.data, run.fold, run.seed])
        means = [f"{fmean(cells[name]):.3f}" if name in cells else "" for name in names]
        gain = f"{fmean(map(fmean, gains.values())):+.4f}" if gains else ""
        seconds = fmean(run.seconds for run in own)
        rows.append(f"| {variant} | {len(own)} | {' | '.join(means)} | {gain} | {seconds:.0f} |")
    return rows
