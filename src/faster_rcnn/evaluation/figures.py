"""The parts of a page that show the details of an evaluation: curves, a matrix, and kinds of errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faster_rcnn.evaluation.bootstrap import CONFIDENCE, SAMPLES
from faster_rcnn.evaluation.details import BACKGROUND, ClassDetails, Confusion, Details
from faster_rcnn.evaluation.engine import TIDE
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.reporting.unit_square import Line, draw_lines

NAMED_CURVES = 3
"""Classes whose curves are drawn beside the mean of all: those with the most boxes."""
MAX_CONFUSED = 12
"""Classes of a confusion matrix on a page: those that are in the most mistakes."""
KINDS = {
    "Cls": "found, with the wrong class",
    "Loc": "found, with a box that fits too little",
    "Both": "wrong class, and a box that fits too little",
    "Dupe": "found a second time",
    "Bkg": "nothing is there",
    "Miss": "not found at all",
}
"""TIDE's kinds of errors in words."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One count of a confusion matrix."""

    count: int
    share: float
    """Share of the row, 0..1, by which the cell is shaded."""
    is_right: bool
    """Whether truths and detections are of one class."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """Truths of one class, by the class that they are found as."""

    name: str
    cells: tuple[Cell, ...]


def page_values(metrics: Metrics) -> dict[str, Any]:
    """What the template ``details.html.jinja`` needs; nothing without details."""
    details = metrics.details
    if details is None:
        return {"details": None}
    columns, rows = matrix_of(details.confusion)
    return {
        "details": details,
        "samples": SAMPLES,
        "confidence": f"{100 * CONFIDENCE:g}",
        "curves": precision_curves(details),
        "reliability": reliability_diagram(details),
        "matrix_columns": columns,
        "matrix": rows,
        "matrix_classes": len(details.confusion.names),
        "kinds": _kinds(details),
    }


def precision_curves(details: Details) -> str:
    """Precision over recall at IoU 0.50: the mean of all classes, and those of the classes with the most boxes."""
    own = sorted((each for each in details.classes if each.curve), key=lambda each: -each.truths)
    lines = [_curve(each) for each in own[:NAMED_CURVES]]
    if len(own) > 1:
        levels = zip(*([value or 0.0 for value in each.curve] for each in own), strict=True)
        lines.insert(0, Line("all classes", _reached([sum(each) / len(own) for each in levels])))
    return draw_lines("Precision over recall", ("recall", "precision"), lines)


def _curve(each: ClassDetails) -> Line:
    return Line(each.name, _reached([value or 0.0 for value in each.curve]))


def _reached(values: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """The points of the recalls that are reached; the first one stands for a class without true detections."""
    return tuple((place / 100, value) for place, value in enumerate(values) if value > 0 or place == 0)


def reliability_diagram(details: Details) -> str:
    """Precision of the detections over their mean score, in ten bins; empty bins are left out."""
    bins = [each for each in details.calibration.bins if each.count]
    notes = [
        f"score {each.lower:.1f} to {each.upper:.1f}: {each.count:,} detections, {100 * each.precision:.1f} % true"
        for each in bins
    ]
    line = Line("detections", tuple((each.score, each.precision) for each in bins), tuple(notes))
    return draw_lines("Precision over score", ("score", "precision"), [line], diagonal=True)


def matrix_of(confusion: Confusion, most: int = MAX_CONFUSED) -> tuple[list[str], list[MatrixRow]]:
    """Names of the columns, and the rows, of the classes that are in the most mistakes; background is last."""
    counts, last = confusion.counts, len(confusion.names)
    mistakes = [
        sum(counts[place]) + sum(row[place] for row in counts) - 2 * counts[place][place] for place in range(last)
    ]
    shown = sorted(sorted(range(last), key=lambda place: -mistakes[place])[:most])
    places = [*shown, last]
    names = [*(confusion.names[place] for place in shown), BACKGROUND]
    return names, [MatrixRow(name, _cells(counts[row], row, places)) for name, row in zip(names, places, strict=True)]


def _cells(counts: Sequence[int], row: int, places: Sequence[int]) -> tuple[Cell, ...]:
    total = max(sum(counts), 1)
    return tuple(Cell(counts[place], counts[place] / total, place == row) for place in places)


def _kinds(details: Details) -> list[dict[str, Any]]:
    if details.tide is None:
        return []
    top = max((details.tide.delta_ap[name] for name in TIDE), default=0.0)
    return [
        {
            "name": name,
            "meaning": KINDS[name],
            "count": details.tide.counts[name],
            "rise": details.tide.delta_ap[name],
            "width": 100 * details.tide.delta_ap[name] / top if top > 0 else 0.0,
        }
        for name in TIDE
    ]
