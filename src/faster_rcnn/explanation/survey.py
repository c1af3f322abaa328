"""``Survey``: a data set explained. ``survey`` makes it: every image of a split is recorded and judged."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from faster_rcnn.data.damage import DamagedImages
from faster_rcnn.data.objects import split_without_classes
from faster_rcnn.data.reading import load_split
from faster_rcnn.data.records import Dataset, ImageRecord, Split, evenly_spread
from faster_rcnn.errors import DatasetError, ImageError, ImageMemoryError
from faster_rcnn.evaluation.detector import choose_split, settings_for
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.dataset.advice import DataAdvice, advise
from faster_rcnn.explanation.dataset.classes import JudgedSplit, in_labels_of
from faster_rcnn.explanation.dataset.coco_output import coco_of
from faster_rcnn.explanation.dataset.folders import write_folders
from faster_rcnn.explanation.dataset.funnel import Funnel, funnel_of
from faster_rcnn.explanation.dataset.impact import Impact, Tide, impact_of, tide_of
from faster_rcnn.explanation.dataset.judged import JudgedImage, JudgedTruth
from faster_rcnn.explanation.dataset.judging import judge
from faster_rcnn.explanation.dataset.label_errors import csv_of, label_errors
from faster_rcnn.explanation.dataset.labels import LabelBank, bank_of
from faster_rcnn.explanation.dataset.schedule import schedule_for
from faster_rcnn.explanation.dataset.table import (
    COLUMNS,
    advice_lines,
    false_positive_lines,
    funnel_lines,
    group_lines,
    oracle_lines,
)
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.external_proposals import split_source
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.tiles import MAX_PIXELS, Tiling
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.progress import counted
from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Survey:
    """What a detector does with the images of a split: every truth and every false positive with its kind.

    Indices of images are places in ``images``. Labels are those of the detector; ``classes`` has their names.
    """

    judged: JudgedSplit
    """The split, with the truths that can be judged."""
    thresholds: Thresholds
    """When a detection is reported, and when it counts for a truth."""
    images: tuple[JudgedImage, ...]
    """The images of the split without those that cannot be decoded, in their order."""
    label_note: str | None = None
    """The reason why no false positive is called a missing label; ``None`` where they were searched for."""
    advice: DataAdvice | None = None
    """Settings that find missed truths; ``None`` where none were tried."""

    @property
    def split(self) -> Split:
        """The split, with the labels of the detector."""
        return self.judged.split

    @property
    def classes(self) -> ClassMap:
        """Names of the labels, and ids of the data; a class of the detector that the data lacks is a hole."""
        return self.split.classes

    @property
    def truths(self) -> tuple[JudgedTruth, ...]:
        """Every truth that is not ignored, image by image."""
        return tuple(each for image in self.images for each in image.truths)

    @cached_property
    def funnel(self) -> Funnel:
        """The verdicts, counted."""
        return funnel_of(self.truths, [name for name in self.classes.names if name is not None])

    @cached_property
    def impact(self) -> Impact:
        """AP, and what it would be without each kind of error."""
        return impact_of(self.images, self.classes)

    @cached_property
    def tide(self) -> Tide | None:
        """TIDE's numbers; ``None`` where hotcoco, which computes them, cannot be imported."""
        return tide_of(self.images, self.classes, self.thresholds)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines that a reader of the numbers should know."""
        left_out = len(self.split.records) - len(self.images)
        damaged = (f"left out, as they cannot be decoded: {count_of(left_out, 'image')}",) if left_out else ()
        return (*self.judged.notes, *damaged, *(() if self.label_note is None else (self.label_note,)))

    def table(self) -> str:
        """The funnel, the false positives, the oracles and the groups of truths, as text of 80 columns."""
        found = count_of(len(self.images), "image")
        how = (
            f"{self.split.name}: {found}; detections of at least {self.thresholds.conf:g}, IoU {self.thresholds.iou:g}"
        )
        parts = (
            [how, *(line for note in self.notes for line in wrap(printable(note), COLUMNS))],
            funnel_lines(self.funnel, self.impact),
            false_positive_lines(self.impact, self.tide),
            oracle_lines(self.impact),
            [] if self.advice is None else advice_lines(self.advice, self.funnel, self.impact),
            group_lines(self.funnel),
        )
        return "\n\n".join("\n".join(part) for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain values: verdicts, false positives, impact and TIDE; ``None`` where undefined."""
        return {
            "split": self.split.name,
            "images": len(self.images),
            "conf": self.thresholds.conf,
            "iou_threshold": self.thresholds.iou,
            "funnel": self.funnel.to_json(),
            "unknown_classes": dict(self.judged.unknown),
            "impact": self.impact.to_json(),
            "tide": None if self.tide is None else self.tide.to_json(),
            "advice": None if self.advice is None else self.advice.to_json(),
            "notes": list(self.notes),
        }

    def to_coco(self) -> dict[str, Any]:
        """COCO JSON of the images with their truths and reported detections, each with its verdict."""
        return coco_of(self.images, self.classes, self.thresholds)

    def label_errors_csv(self) -> tuple[str, int]:
        """A table of the probable label errors as CSV, the most certain first, and their number."""
        errors = label_errors(self.images, self.classes)
        return csv_of(errors), len(errors)

    def write_folders(self, folder: Path) -> tuple[int, int]:
        """Write a picture of each missed truth and of each false positive into a new folder; returns their numbers.

        Raises ``MachineError`` where the folder cannot be written, and ``ImageError`` where an image is there no more.
        """
        return write_folders(folder, self.images, self.classes, MAX_PIXELS)


def survey(
    predictor: Predictor,
    split: Split,
    thresholds: Thresholds,
    model: str = "the detector",
    *,
    train: Split | None = None,
) -> Survey:
    """Record and judge every image of a split.

    Args:
        predictor: predicts; its detections are those that ``evaluate`` measures.
        split: labelled images; their classes are matched with the detector's by name. For a region proposal network
            alone every truth has the class ``object``.
        thresholds: when a detection is reported, and when it counts for a truth.
        model: the detector's name in messages.
        train: labelled images that the detector was trained on, for missing labels: their labelled regions are compared
            with false positives on background. At most half as many images as ``split`` has are read.

    Raises:
        DatasetError: more than 5 % of the images cannot be decoded.
        ModelFileError: the detector and the data have no class in common (E123).
        OptionError: a threshold is not in 0..1 (E125).
    """
    thresholds.refuse_senseless()
    if predictor.config.detector.kind == "rpn":
        split = split_without_classes(split)
    judged = in_labels_of(split, predictor.classes, model)
    for note in judged.notes:
        _LOG.warning(note)
    bank, label_note = _label_bank(predictor, split, train, model)
    damaged = DamagedImages(split.name, len(split.records), "it is left out, with its truth")
    judge_one = partial(_judge_one, predictor, judged, thresholds, bank)
    images = []
    outcomes = schedule_for(predictor)(judged.split.records, judge_one)
    for place, one in enumerate(counted(outcomes, f"images of {split.name}", len(split.records))):
        if isinstance(one, ImageMemoryError):
            raise one  # the memory that other programs leave must not change a metric
        if isinstance(one, ImageError):
            damaged.add({place: str(one)})
        else:
            images.append(one)
    return Survey(judged, thresholds, tuple(images), label_note)


def survey_data(
    detector: PreparedDetector,
    data: Path,
    split: str | None,
    thresholds: Thresholds,
    model: str = "the detector",
    *,
    proposals: Path | None = None,
    tiling: Tiling | None = None,
    advice: int = 0,
) -> Survey:
    """Survey labelled images of a folder or file; the arguments are those of ``evaluate_detector`` and ``survey``.

    With ``advice``, settings are tried on missed truths, and so many of the best ones on all images.

    Raises:
        DatasetError: the data or the proposals cannot be used.
        OptionError: there is no such split, or the detector takes no external proposals, or no tiles.
        ModelFileError: the detector and the data have no class in common.
    """
    dataset = load_split(data, settings_for(data, detector.config.data, tiling), split)
    part = choose_split(dataset, split)
    source = None if proposals is None else split_source(detector, proposals, dataset.root, part, model)
    train = _train_split(data, detector, dataset, part.name)
    predictor = Predictor(detector, proposals=source, tiling=tiling)
    found = survey(predictor, part, thresholds, model, train=train)
    if not advice:
        return found
    tried = advise(predictor, found.judged, found.images, thresholds, advice, train, schedule_for(predictor))
    return replace(found, advice=tried)


def _train_split(data: Path, detector: PreparedDetector, dataset: Dataset, split: str) -> Split | None:
    """The training images of the data; ``None`` where there are none, they are surveyed, or they cannot be read."""
    if split == "train" or "train" not in dataset.found:
        return None
    try:
        return load_split(data, settings_for(data, detector.config.data), "train").split("train")
    except DatasetError as error:
        _LOG.warning("%s; so no missing labels are searched for", error)
        return None


def _label_bank(
    predictor: Predictor, split: Split, train: Split | None, model: str
) -> tuple[LabelBank | None, str | None]:
    """Labelled regions of training images, or the reason why there are none."""
    if split.name == "train":
        return None, "missing labels are searched for in images that the detector was not trained on, and this is train"
    if train is None:
        return None, "there is no train split whose labelled regions would show which labels are missing"
    if predictor.config.detector.kind == "rpn":
        return None, "a region proposal network has no class layer, whose inputs would show which labels are missing"
    known = in_labels_of(train, predictor.classes, model).split.records
    bank = bank_of(predictor, evenly_spread(known, max(1, len(split.records) // 2)), schedule_for(predictor))
    return bank, None if bank is not None else "the training images have no objects to compare false positives with"


def _judge_one(
    predictor: Predictor, judged: JudgedSplit, thresholds: Thresholds, bank: LabelBank | None, one: ImageRecord
) -> JudgedImage | ImageError:
    """The judged image of a record, or the reason why it cannot be used."""
    try:
        # All scores take part in AP. With tiles, detections are merged whatever their score, as ``evaluate`` does.
        return judge(record(predictor, one.path, 0.0, one.truth), one, judged, thresholds, bank)
    except ImageError as error:
        return error
