"""A short training that is sent to one logger, and what its service must hold afterwards."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from made_data import make_squares, settings_file, train_with

Curves = Mapping[str, Sequence[tuple[int, float]]]
"""Points (step, value) by name."""


def trained_with(logger: str, folder: Path) -> Path:
    """The folder of a run of two epochs, of which the second one was made after the run was resumed."""
    data = make_squares(folder / "data", {"train": 44, "val": 3})
    run = train_with(data, config=settings_file(folder, epochs=1), out=folder / "run", log=logger)
    return train_with(data, out=run, epochs=2, resume=True, log=logger)


def assert_holds_metrics(curves: Curves, run: Path) -> None:
    """Every number of ``metrics.csv`` is a point at its step, and nothing else; losses of steps are there, too."""
    expected: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with (run / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value:
                    expected[name].append((int(row["step"]), float(value)))
    found = {name: points for name, points in curves.items() if not name.startswith("step/")}
    assert found.keys() == expected.keys()
    for name, points in expected.items():
        assert [step for step, _ in found[name]] == [step for step, _ in points], name
        for (_, value), (_, stored) in zip(points, found[name], strict=True):
            assert abs(value - stored) <= 1e-6 * max(1.0, abs(value)), name
    assert {"step/loss", "step/lr", "step/roi_class"} <= curves.keys()
