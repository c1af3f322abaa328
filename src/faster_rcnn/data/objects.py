"""Labelled images for a detector that is a region proposal network alone: all objects have one class."""

from __future__ import annotations

from dataclasses import replace

from faster_rcnn.data.records import Dataset, ImageRecord, Split
from faster_rcnn.structures import ClassMap, GroundTruth

OBJECT = ClassMap(("object",), (1,))
"""The only class of a region proposal network."""


def without_classes(dataset: Dataset) -> Dataset:
    """The data set with the class ``object`` for every truth box."""
    splits = {name: split_without_classes(split) for name, split in dataset.splits.items()}
    return replace(dataset, classes=OBJECT, splits=splits)


def split_without_classes(split: Split) -> Split:
    """The split with the class ``object`` for every truth box."""
    return replace(split, classes=OBJECT, records=tuple(_without_class(record) for record in split.records))


def _without_class(record: ImageRecord) -> ImageRecord:
    truth = record.truth
    return replace(record, truth=GroundTruth(truth.boxes, truth.labels.new_zeros(len(truth.labels)), truth.ignored))
