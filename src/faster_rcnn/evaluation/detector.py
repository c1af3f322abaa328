"""Detections and metrics of a detector on a split of a data set."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from faster_rcnn.data.damage import DamagedImages
from faster_rcnn.data.objects import split_without_classes
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.errors import ImageError, ImageMemoryError
from faster_rcnn.evaluation.class_mapping import ClassMapping
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.tiles import MAX_PIXELS, Tiling
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Detections
from faster_rcnn.system.progress import counted

_LOG = logging.getLogger(__name__)


def measure_detector(predictor: Predictor, split: Split, model: str) -> Metrics:
    """Metrics of a detector on a split; ``model`` is its name in messages.

    Raises:
        DatasetError: more than 5 % of the images cannot be decoded.
        ModelFileError: the detector lacks a class of the data.
    """
    if predictor.config.detector.kind == "rpn":
        split = split_without_classes(split)
    mapping = ClassMapping.between(predictor.classes, split.classes, model, split.name)
    for note in mapping.notes:
        _LOG.info(note)
    found: dict[int, Detections] = {}
    outcomes = found_in(predictor, split)
    for place, one in counted(outcomes, f"images of {split.name}", len(split.records)):
        if one is not None:
            found[place] = mapping.apply(one.result.detections)
    return measure_split(split, found)


def found_in(predictor: Predictor, split: Split) -> Iterator[tuple[int, Prediction | None]]:
    """Predict each image of a split; gives the index of its record, and ``None`` for an image that cannot be decoded.

    Raises:
        DatasetError: more than 5 % of the images cannot be decoded.
    """
    damaged = DamagedImages(split.name, len(split.records), "it is left out, with its truth")
    outcomes = predictor.predict_each((record.path for record in split.records), conf=0.0)
    for place, one in enumerate(outcomes):
        if isinstance(one, ImageMemoryError):
            raise one  # the memory that other programs leave must not change a metric
        if isinstance(one, ImageError):
            damaged.add({place: str(one)})
        yield place, None if isinstance(one, ImageError) else one


def settings_for(data: Path, trained_on: DataConfig, tiling: Tiling | None = None) -> DataConfig:
    """Settings to read ``data`` with for a detector: those with which its training data were read.

    A path of a split or of images, as set for training, counts only where it lies below ``data``: other data has its
    own. Images that are predicted in tiles may be larger than those of training.
    """
    root = (data if data.is_dir() else data.parent).resolve()
    named = {name: getattr(trained_on, name) for name in ("train", "val", "test", "images")}
    elsewhere = {name: None for name, value in named.items() if value is not None and not _is_below(root, value)}
    most_pixels = trained_on.max_pixels if tiling is None else max(trained_on.max_pixels, MAX_PIXELS)
    return trained_on.model_copy(update={**elsewhere, "max_pixels": most_pixels})


def _is_below(root: Path, value: str) -> bool:
    path = root / value
    return os.path.exists(path) and path.resolve().is_relative_to(root)  # only names that a file can have are resolved


def split_to_measure(data: Path, settings: DataConfig, name: str | None) -> Split:
    """Read a split to measure on, and log its notes and the warnings of the data."""
    return choose_split(load_split(data, settings, name), name)


def choose_split(dataset: Dataset, name: str | None) -> Split:
    """The split to measure on; logs its notes and the warnings of the data; raises ``OptionError`` without one."""
    split = dataset.split(name)
    for warning in dataset.warnings:
        _LOG.warning(warning)
    for note in split.notes:
        _LOG.info(note)
    return split
