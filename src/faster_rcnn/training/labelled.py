"""Labelled images for training; their number, their classes and their oddities are logged."""

from __future__ import annotations

import logging
from pathlib import Path

from faster_rcnn.data.fingerprint import TRAINED_ON
from faster_rcnn.data.objects import without_classes
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset
from faster_rcnn.data.remarks import few_objects, small_objects, tiny_boxes, uneven_classes
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import Config

_LOG = logging.getLogger(__name__)


def with_val_seed(config: Config) -> Config:
    """The configuration with the seed that splits off validation images, so that ``evaluate`` splits off the same."""
    if config.data.val_share == 0 or config.data.val_seed is not None:
        return config
    return config.model_copy(update={"data": config.data.model_copy(update={"val_seed": config.training.seed})})


def load_for_training(data: Path, config: Config) -> Dataset:
    """Read the labelled images and log what is known about them; raises ``DatasetError``."""
    dataset = load_dataset(data, config.data, TRAINED_ON)
    if "train" not in dataset.splits:
        raise DatasetError(
            f"{data} has no split to train on; it has {', '.join(dataset.found)}. Name its part with "
            "--set data.train=FILE",
            code="E115",
        )
    for name in TRAINED_ON:
        if name in dataset.splits:
            for note in dataset.splits[name].notes:
                _LOG.info(note)
    train = dataset.splits["train"]
    for remark in tiny_boxes(train, config.image):
        _LOG.warning(remark)
    for remark in (*small_objects(train, config.image), *uneven_classes(train)):
        _LOG.info(remark)
    for remark in few_objects(dataset.splits["val"]) if "val" in dataset.splits else ():
        _LOG.info(remark)
    for warning in dataset.warnings:
        _LOG.warning(warning)
    if "val" not in dataset.splits:
        _LOG.warning(
            "no validation split: every epoch is trained, and the best model is the last one; --val-share 0.2 "
            "validates on a fifth of the training images"
        )
    return without_classes(dataset) if config.detector.kind == "rpn" else dataset
