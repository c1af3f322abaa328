"""Keeps the thresholds of an evaluation in a copy of the model file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.exported import is_exported
from faster_rcnn.weights.model_file import save_model
from faster_rcnn.weights.resolve import resolve_model
from faster_rcnn.weights.thresholds import Thresholds


def refuse_keeping(model: str) -> None:
    """Raise ``OptionError`` (E125) for an exported file, whose metadata are written with its graph."""
    if is_exported(model):
        raise OptionError(
            f"--keep-thresholds: {model} is an exported file; store them in its model file, and export that again",
            code="E125",
        )


def keep_thresholds(model: str, metrics: Metrics, split: str, out: Path) -> Path:
    """Write a model file like ``model`` with the thresholds that were measured; returns ``out``.

    Raises ``OptionError`` (E125) where the evaluation has no details or the detector has no second stage.
    """
    loaded = resolve_model(model)
    if metrics.details is None or loaded.config.detector.kind == "rpn":
        raise OptionError(
            f"--keep-thresholds {out}: thresholds need hotcoco, and a detector with a second stage", code="E125"
        )
    thresholds = thresholds_from(metrics, split, loaded.classes)
    loaded = replace(loaded, thresholds=thresholds)
    save_model(out, loaded.model, loaded.config, loaded.classes, loaded.ranges, loaded.thresholds)
    return out


def thresholds_from(metrics: Metrics, split: str, classes: ClassMap) -> Thresholds:
    """Thresholds of the classes of a detector, which have the names of those that were measured."""
    assert metrics.details is not None  # the caller has them
    choices = {each.name: each.choices for each in metrics.details.classes}
    points = tuple(() if name is None else choices.get(name, ()) for name in classes.names)
    return Thresholds(split, metrics.images, points)
