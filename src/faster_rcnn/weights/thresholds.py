"""Thresholds of scores by class: what a detector reached on labelled images, kept in its model file.

A threshold is chosen later, by the best F1 or by a precision or recall that is to be reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_POINTS = 50
"""Largest number of points of a class in a model file."""
USUAL_SCORE = 0.5
"""Lowest score of a class without thresholds."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Precision and recall of the detections of one class whose score is at least ``score``."""

    score: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where both are 0."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The points of each class between which there is a choice, measured on a split of labelled images."""

    split: str
    images: int
    """Number of images that they were measured on."""
    points: tuple[tuple[OperatingPoint, ...], ...]
    """By label, best score first: recall rises and precision falls; none for a class without truths or without hits."""

    def to_json(self) -> dict[str, Any]:
        """The value that a model file holds."""
        rows = [[[each.score, each.precision, each.recall] for each in points] for points in self.points]
        return {"split": self.split, "images": self.images, "points": rows}

    @staticmethod
    def from_json(value: Mapping[str, Any], classes: int) -> Thresholds:
        """The thresholds of a file; raises ``ValueError``, ``TypeError`` or ``KeyError`` where they are damaged."""
        points = tuple(tuple(OperatingPoint(*map(_share, row)) for row in rows) for rows in value["points"])
        if len(points) != classes or any(len(rows) > MAX_POINTS for rows in points):
            raise ValueError("its thresholds are not those of its classes")
        if not isinstance(value["split"], str) or type(value["images"]) is not int:
            raise TypeError("its thresholds have no split")
        return Thresholds(value["split"], value["images"], points)


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a threshold holds {value!r:.40}, which is not between 0 and 1")
    return float(value)


def best_f1(points: Sequence[OperatingPoint]) -> OperatingPoint | None:
    """The point of the highest F1; the first of equal ones, which has the higher score."""
    return max(points, key=lambda each: each.f1, default=None)


def with_precision(points: Sequence[OperatingPoint], target: float) -> OperatingPoint | None:
    """The point of the highest recall whose precision is at least ``target``."""
    return _best(points, lambda each: each.precision >= target, lambda each: each.recall)


def with_recall(points: Sequence[OperatingPoint], target: float) -> OperatingPoint | None:
    """The point of the highest precision whose recall is at least ``target``."""
    return _best(points, lambda each: each.recall >= target, lambda each: each.precision)


def _best(
    points: Sequence[OperatingPoint],
    fits: Callable[[OperatingPoint], bool],
    value: Callable[[OperatingPoint], float],
) -> OperatingPoint | None:
    return max(filter(fits, points), key=value, default=None)


def thinned(points: Sequence[OperatingPoint], most: int = MAX_POINTS) -> tuple[OperatingPoint, ...]:
    """At most ``most`` of the points: evenly spaced ones, the first, the last, and that of the best F1."""
    if len(points) <= most:
        return tuple(points)
    step = (len(points) - 1) / (most - 2)
    places = {math.floor(number * step + 0.5) for number in range(most - 1)}
    best = best_f1(points)
    return tuple(each for place, each in enumerate(points) if place in places or each is best)
