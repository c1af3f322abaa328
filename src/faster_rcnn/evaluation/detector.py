"""Detections and metrics of a detector on a split of a data set."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from faster_rcnn.data.chosen import split_of_classes
from faster_rcnn.data.damage import DamagedImages
from faster_rcnn.data.objects import split_without_classes
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.errors import ImageError, ImageMemoryError
from faster_rcnn.evaluation.class_mapping import ClassMapping
from faster_rcnn.evaluation.in_detail import ChosenScores
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.split import measure_split, measure_split_in_detail
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Prediction
from faster_rcnn.inference.tiles import MAX_PIXELS, Tiling
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.structures import Detections
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.system.progress import progress
from faster_rcnn.system.rounds import take_in_order

Value = TypeVar("Value")

_LOG = logging.getLogger(__name__)


def measure_detector(predictor: Predictor, split: Split, model: str) -> Metrics:
    """Metrics of a detector on a split; ``model`` is its name in messages.

    Where the predictor reports some classes only, these alone are measured.

    Raises:
        DatasetError: more than 5 % of the images cannot be decoded.
        ModelFileError: the detector lacks a class of the data.
        OptionError: the data lacks a class that the user chose.
    """
    return measure_split(*detect_in(predictor, split, model))


def measure_in_detail(
    predictor: Predictor,
    split: Split,
    model: str,
    processes: Processes = ALONE,
    chosen: ChosenScores | None = None,
) -> Metrics:
    """The metrics of ``measure_detector`` with their details, at the thresholds that are ``chosen``.

    Several processes that call it together predict a part of the images each, and all get the metrics of all images.
    """
    split, found = detect_in(predictor, split, model, processes)
    return processes.of_first(lambda: measure_split_in_detail(split, found, chosen))


def detect_in(
    predictor: Predictor, split: Split, model: str, processes: Processes = ALONE, bar: str = ""
) -> tuple[Split, dict[int, Detections]]:
    """Detections in a split by the index of their record, in the first process of several; raises as above.

    Args:
        predictor: the detector.
        split: all images.
        model: the detector's name in messages.
        processes: the processes that predict a part of the images each.
        bar: what is added to the name of the progress bar.

    Returns:
        The split with the classes that are measured, and the detections with its labels. An image that cannot be
        decoded has no entry.
    """
    split, mapping = _with_classes_of(predictor, split, model, processes)
    found: dict[int, Detections] = {}

    def keep(place: int, one: Prediction) -> tuple[int, Detections]:
        return place, mapping.apply(one.result.detections)

    def take(one: tuple[int, Detections] | None) -> None:
        found.update([] if one is None else [one])
        meter.advance()

    with progress(f"images of {split.name}{bar}", len(split.records)) as meter:
        predict_shares(predictor, split, processes, keep, take)
    return split, found


def _with_classes_of(
    predictor: Predictor, split: Split, model: str, processes: Processes
) -> tuple[Split, ClassMapping]:
    """The split with the classes that are measured, and the mapping of the detector's labels to its labels."""
    if predictor.config.detector.kind == "rpn":
        split = split_without_classes(split)
    mapping = ClassMapping.between(predictor.classes, split.classes, model, split.name)
    with processes.first_logs():
        for note in mapping.notes:
            _LOG.info(note)
    chosen = predictor.choice.names_of(predictor.classes)
    return split if chosen is None else split_of_classes(split, chosen), mapping


def predict_shares(
    predictor: Predictor,
    split: Split,
    processes: Processes,
    keep: Callable[[int, Prediction], Value],
    take: Callable[[Value | None], None],
) -> None:
    """Predict the images of a split, each in one of the processes, which call it together.

    Args:
        predictor: the detector of this process.
        split: all images, the same in each process.
        processes: the processes that share the split; a process alone predicts all images.
        keep: is called for each image of this process, with the index of its record and its prediction, and gives what
            the first process gets, which ``pickle`` must take.
        take: is called in the first process alone, for the images of all processes in the order of their records, with
            what ``keep`` gave, or ``None`` for an image that cannot be decoded.

    Raises:
        DatasetError: more than 5 % of the images of all processes cannot be decoded. Every error of one process ends
            all of them; see ``Processes.together``.
    """
    damaged = DamagedImages(split.name, len(split.records), "it is left out, with its truth")

    def take_outcome(outcome: tuple[int, Value | None, str]) -> None:
        place, value, fault = outcome
        if fault:
            damaged.add({place: fault})
        take(value)

    places = processes.share(range(len(split.records)))
    take_in_order(_outcomes(predictor, split, places, keep), len(split.records), processes, take_outcome)


def _outcomes(
    predictor: Predictor, split: Split, places: Sequence[int], keep: Callable[[int, Prediction], Value]
) -> Iterator[tuple[int, Value | None, str]]:
    """The index of each record, what ``keep`` gave, and the reason why the image cannot be decoded, if it cannot."""
    predictions = predictor.predict_each((split.records[place].path for place in places), conf=0.0)
    for place in places:
        one = next(predictions)
        if isinstance(one, ImageMemoryError):
            raise one  # the memory that other programs leave must not change a metric
        outcome = (place, None, str(one)) if isinstance(one, ImageError) else (place, keep(place, one), "")
        del one  # its pixels are not held while the next image is read
        yield outcome


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


def splits_to_calibrate(data: Path, trained_on: DataConfig, name: str | None) -> tuple[Split, Split]:
    """Read the split to measure on and the training images, which are examples; logs their notes and the warnings."""
    dataset = load_split(data, settings_for(data, trained_on), name, also=("train",))
    part, train = choose_split(dataset, name), dataset.split("train")
    for note in train.notes if train is not part else ():
        _LOG.info(note)
    return part, train


def choose_split(dataset: Dataset, name: str | None) -> Split:
    """The split to measure on; logs its notes and the warnings of the data; raises ``OptionError`` without one."""
    split = dataset.split(name)
    for warning in dataset.warnings:
        _LOG.warning(warning)
    for note in split.notes:
        _LOG.info(note)
    return split
