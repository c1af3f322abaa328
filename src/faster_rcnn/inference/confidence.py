"""Lowest scores by class, from the thresholds that a model file keeps: those of the best F1, or of a target."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.inference.limits import Conf, Target, target_of
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import (
    USUAL_SCORE,
    OperatingPoint,
    Thresholds,
    best_f1,
    with_precision,
    with_recall,
)

MinScore = float | Tensor
"""Lowest score that is reported, or one for each label."""


def min_scores(conf: Conf, thresholds: Thresholds | None) -> MinScore:
    """The lowest score that is reported: the number itself, or one for each label.

    Raises ``OptionError`` (E125) for anything but a number, ``auto`` or a target, and where there are no thresholds.
    """
    if not isinstance(conf, str):
        return conf
    points = _points(conf, thresholds)
    scores = [USUAL_SCORE if point is None else point.score for point, _ in points]
    return torch.tensor(scores, dtype=torch.float64)


def notes_on(conf: Conf, thresholds: Thresholds | None, classes: ClassMap) -> list[str]:
    """Lines on the thresholds that were chosen, and on classes that have none or do not reach the target."""
    if not isinstance(conf, str):
        return []
    points = _points(conf, thresholds)
    assert thresholds is not None  # otherwise an error was raised
    named = [(name, *both) for name, both in zip(classes.names, points, strict=True) if name is not None]
    chosen = [f"{name} {point.score:.2f}" for name, point, _ in named if point is not None]
    notes = [f"conf {conf}: lowest scores by {thresholds.images} images of {thresholds.split}: {first_of(chosen, 10)}"]
    without = [name for name, point, _ in named if point is None]
    if without:
        notes.append(f"conf {conf}: no threshold is known of {first_of(without)}; {USUAL_SCORE:g} is taken")
    missed = [
        f"{name} (precision {point.precision:.2f}, recall {point.recall:.2f})"
        for name, point, reached in named
        if point is not None and not reached
    ]
    if missed:
        notes.append(f"conf {conf}: never reached on these images by {first_of(missed)}; the nearest is taken")
    return notes


def _points(conf: str, thresholds: Thresholds | None) -> list[tuple[OperatingPoint | None, bool]]:
    """The point of each label, and whether it reaches the target."""
    target = target_of(conf)
    if thresholds is None:
        raise OptionError(
            f"conf {conf}: the model holds no thresholds; give a number, or store them first: faster-rcnn evaluate "
            "MODEL DATA --split val --keep-thresholds NEW.safetensors",
            code="E125",
        )
    return [_point(each, target) for each in thresholds.points]


def _point(points: Sequence[OperatingPoint], target: Target | None) -> tuple[OperatingPoint | None, bool]:
    if not points or target is None:
        return best_f1(points), True
    find = with_precision if target.name == "precision" else with_recall
    found = find(points, target.value)
    # Best score first: the first point has the highest precision, the last one the highest recall.
    return (found, True) if found is not None else (points[0] if target.name == "precision" else points[-1], False)
