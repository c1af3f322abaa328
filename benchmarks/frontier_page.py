"""The tables and the plot of docs/frontier.md, made of the lines that `frontier.py` and `frontier_times.py` have added.

    python benchmarks/frontier_page.py

Each table holds the runs of one instruction set, precision and number of images, either on folds of training splits or,
for the last variants, on splits that nothing was chosen on. A difference is the mean, over the data sets, of the
differences in AP to the first variant with the same fold and seed; its interval is that of the differences, drawn again
2,000 times within each data set. Recipes of training, which leave the network as it is, have tables of their own.
"""

from __future__ import annotations

import json
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from frontier_results import RESULTS, Run, read_runs
from frontier_times import RESULTS as TIMES
from frontier_times import Times
from frontier_variants import FINAL, VARIANTS

PAGE = Path(__file__).parents[1] / "docs" / "frontier.md"
PLOT = PAGE.parent / "images" / "frontier.png"
MARK = "<!-- tables of benchmarks/frontier_page.py -->\n"
DRAWS = 2000
FIRST = "small-before"
RECIPE, RECIPES = "lean-sgd", ("lean", "lean-ciou", "lean-ema", "lean-wide", "lean-unfrozen")
"""The recipe that `small` was trained with before, on the lighter network, and those that were tried beside it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Runs that are compared with each other."""

    processor: str
    precision: str
    images: int
    final: bool

    @classmethod
    def of(cls, run: Run) -> Place:
        """Where a run belongs."""
        return cls(run.processor, run.precision, run.images, run.fold == FINAL)

    def runs_of(self, runs: Sequence[Run]) -> list[Run]:
        """The runs that belong here."""
        return [run for run in runs if Place.of(run) == self]

    def times_of(self, times: Sequence[Times]) -> dict[str, Times]:
        """The times in this precision on this kind of processor, by variant; the last line of each counts."""
        return {
            each.variant: each for each in times if (each.processor, each.precision) == (self.processor, self.precision)
        }

    @property
    def title(self) -> str:
        """The heading of its table."""
        where = "test or validation splits" if self.final else "folds of the training splits"
        return f"{where}, {self.images:,} images in training, {self.processor}, {self.precision}"


def main() -> int:
    text, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    runs, times = read_runs(RESULTS), read_times(TIMES)
    PAGE.write_text(text + MARK + tables(runs, times), encoding="utf-8")
    draw(runs, times, PLOT)
    print(f"{PAGE} and {PLOT}")
    return 0


def read_times(path: Path) -> list[Times]:
    """The lines of a file of times."""
    return [Times(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def tables(runs: Sequence[Run], times: Sequence[Times]) -> str:
    """All tables, those of the splits that nothing was chosen on first, and what the names stand for."""
    places = sorted(dict.fromkeys(map(Place.of, runs)), key=lambda place: not place.final)
    of_recipes = [run for run in runs if run.variant in (RECIPE, *RECIPES)]
    of_networks = [run for run in runs if run.variant not in (RECIPE, *RECIPES[1:])]
    parts = [_table(place, place.runs_of(of_networks), times, FIRST) for place in places]
    compared = [place for place in places if len({run.variant for run in place.runs_of(of_recipes)}) > 1]
    parts += [_table(place, place.runs_of(of_recipes), times, RECIPE, "recipes: ") for place in compared]
    used = [name for name in VARIANTS if any(run.variant == name for run in runs)]
    names = [f"- `{name}`: {' '.join(f'`{each}`' for each in VARIANTS[name].settings) or 'as it was'}" for name in used]
    return "\n".join([*parts, "## The variants\n", "Settings in which each differs from `small-before`.\n", *names, ""])


def gains_of(runs: Sequence[Run], variant: str, first: str) -> dict[str, list[float]]:
    """Differences in AP to the first variant by data set, in pairs of fold and seed."""
    base = {(run.data, run.fold, run.seed): run.ap for run in runs if run.variant == first}
    found: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        key = run.data, run.fold, run.seed
        if run.variant == variant and key in base:
            found[run.data].append(run.ap - base[key])
    return dict(found)


def interval(gains: dict[str, list[float]], draws: int = DRAWS) -> tuple[float, float]:
    """The middle 95 % of the mean difference over the data sets, whose pairs are drawn again in each."""
    chance = random.Random(0)
    means = sorted(fmean(fmean(chance.choices(each, k=len(each))) for each in gains.values()) for _ in range(draws))
    return means[int(0.025 * draws)], means[int(0.975 * draws) - 1]


def _table(place: Place, runs: Sequence[Run], times: Sequence[Times], first: str, about: str = "") -> str:
    title = f"{about}{place.title}"
    data = sorted({run.data for run in runs})
    own = place.times_of(times)
    head = ["variant", "seeds", "GFLOP", "time of an image", "in a stream", *data, "difference in AP"]
    rows = [head, ["---"] * len(head)]
    for variant in dict.fromkeys(run.variant for run in runs):
        mine = [run for run in runs if run.variant == variant]
        cells = [
            f"`{variant}`",
            str(len({run.seed for run in mine})),
            *_cells_of_times(own.get(variant)),
            *(_mean([run.ap for run in mine if run.data == each]) for each in data),
            _difference(gains_of(runs, variant, first)) if variant != first else "",
        ]
        rows.append(cells)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"## {title[0].upper()}{title[1:]}\n", *lines, ""])


def _cells_of_times(times: Times | None) -> list[str]:
    return ["", "", ""] if times is None else [f"{times.gflop:.1f}", f"{times.ratio:.2f}", f"{times.stream_ratio:.2f}"]


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f}" if values else ""


def _difference(gains: dict[str, list[float]]) -> str:
    if not gains:
        return ""
    mean = fmean(map(fmean, gains.values()))
    if min(map(len, gains.values())) < 3:
        return f"{mean:+.3f}"
    low, high = interval(gains)
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def draw(runs: Sequence[Run], times: Sequence[Times], path: Path) -> None:
    """AP against the time of an image, one panel for each place with times."""
    from matplotlib.figure import Figure

    points = {
        place: found
        for place in dict.fromkeys(map(Place.of, runs))
        if len(found := _points(place, place.runs_of(runs), times)) > 1
    }
    figure = Figure(figsize=(5.2 * len(points), 4.4), layout="constrained")
    panels = figure.subplots(1, len(points), squeeze=False)[0]
    for panel, (place, found) in zip(panels, points.items(), strict=True):
        for place_in_time, (name, (ratio, ap)) in enumerate(sorted(found.items(), key=lambda point: point[1])):
            panel.plot(ratio, ap, "o", color="#D55E00" if name == FIRST else "#0072B2")
            above = 4 if place_in_time % 2 else -11  # names of neighbours are on different sides of their points
            panel.annotate(name, (ratio, ap), textcoords="offset points", xytext=(6, above), fontsize=8)
        panel.set_title(place.title.replace(" splits, ", " splits,\n"), fontsize=9, loc="left")
        panel.set_xlabel(f"time of an image, in shares of that of {FIRST}")
        panel.set_ylabel("AP, mean of the data sets")
        panel.set_xlim(0, 1.25)
        panel.grid(color="#e4e4e4")
    figure.savefig(path, dpi=110)


def _points(place: Place, runs: Sequence[Run], times: Sequence[Times]) -> dict[str, tuple[float, float]]:
    """Time of an image and mean AP of the variants that were run on all data sets of the place."""
    data = {run.data for run in runs}
    found = {}
    for name, each in place.times_of(times).items():
        mine = [run for run in runs if run.variant == name]
        if {run.data for run in mine} == data:
            found[name] = (each.ratio, fmean(fmean(r.ap for r in mine if r.data == one) for one in data))
    return found


if __name__ == "__main__":
    sys.exit(main())
