"""Keeps the thresholds of an evaluation in a copy of the model file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.parsing.values import first_of
from faster_rcnn.weights.exported import is_exported
from faster_rcnn.weights.model_file import LoadedModel, write_loaded
from faster_rcnn.weights.resolve import resolve_model
from faster_rcnn.weights.thresholds import Thresholds

_LOG = logging.getLogger(__name__)


def refuse_keeping(model: str, detector: PreparedDetector | None) -> None:
    """Raise ``OptionError`` (E125) where no thresholds can be kept, before anything is measured.

    ``detector`` is ``None`` where ``model`` is a file of detections.
    """
    if detector is None:
        raise OptionError(f"--keep-thresholds: {model} holds detections, and is no model", code="E125")
    if is_exported(model):  # its metadata are written with its graph
        raise OptionError(
            f"--keep-thresholds: {model} is an exported file; store them in its model file, and export that again",
            code="E125",
        )
    if not engine.has_hotcoco() or detector.config.detector.kind == "rpn":
        raise OptionError("--keep-thresholds needs hotcoco, and a detector with a second stage", code="E125")


def keep_thresholds(model: str, metrics: Metrics, split: str, out: Path) -> Path:
    """Write a model file like ``model`` with the thresholds that were measured; returns ``out``."""
    loaded = resolve_model(model)
    write_loaded(out, replace(loaded, thresholds=thresholds_from(metrics, split, loaded)))
    return out


def thresholds_from(metrics: Metrics, split: str, loaded: LoadedModel) -> Thresholds:
    """Thresholds of the classes of a detector, which have the names of those that were measured.

    A class that was left out, or of which no object was found, keeps the thresholds that the model has.
    """
    classes, earlier = loaded.classes, loaded.thresholds
    measured = () if metrics.details is None else metrics.details.classes
    choices = {each.name: each.choices for each in measured}
    before = ((),) * len(classes) if earlier is None else earlier.points
    points = tuple(choices.get(name or "") or own for name, own in zip(classes.names, before, strict=True))
    kept = [name for name, own in zip(classes.names, before, strict=True) if name and own and not choices.get(name)]
    if kept:
        _LOG.info(f"thresholds of {first_of(kept)} stay those that the model has: {split} gives none")
    return Thresholds(split, metrics.images, points)
