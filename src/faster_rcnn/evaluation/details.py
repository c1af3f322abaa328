"""What lies behind COCO's twelve numbers: intervals, thresholds, confusion, calibration, kinds of errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from faster_rcnn.evaluation.bootstrap import BootstrapInterval
from faster_rcnn.evaluation.engine import TideErrors
from faster_rcnn.weights.thresholds import OperatingPoint

BACKGROUND = "background"
"""Name of the last row and column of a confusion matrix: no truth, and no detection."""


@dataclass(frozen=True, slots=True)
class SizeSlice:
    """Metrics of the truths of one range of areas."""

    name: str
    """small, medium or large."""
    truths: int
    ap: float | None
    ap50: float | None
    recall: float | None
    """Mean over IoU 0.50 to 0.95 of the recall with 100 detections of a class in an image."""

    def to_json(self) -> dict[str, Any]:
        """The numbers by COCO's names."""
        return {"truths": self.truths, "AP": self.ap, "AP50": self.ap50, "AR100": self.recall}


@dataclass(frozen=True, slots=True)
class ClassDetails:
    """Numbers of one class at IoU 0.50, beside its AP."""

    name: str
    point: OperatingPoint | None
    """Threshold of the score, and what its detections reach; ``None`` without truths or without true detections."""
    voc2007: float | None
    voc2012: float | None
    sizes: tuple[SizeSlice, ...]
    curve: tuple[float | None, ...]
    """Interpolated precision at the recalls 0.00, 0.01, ... 1.00; empty without truths."""
    calibration_error: float | None
    """Expected calibration error; ``None`` without detections."""
    choices: tuple[OperatingPoint, ...] = ()
    """The thresholds between which there is a choice, as a model file holds them."""

    @property
    def truths(self) -> int:
        """Number of ground-truth boxes without the ignored ones."""
        return sum(each.truths for each in self.sizes)

    def to_json(self) -> dict[str, Any]:
        """The values that ``per_class`` has beside AP."""
        point = self.point
        return {
            "precision": None if point is None else point.precision,
            "recall": None if point is None else point.recall,
            "F1": None if point is None else point.f1,
            "score": None if point is None else point.score,
            "VOC2007": self.voc2007,
            "VOC2012": self.voc2012,
            "ECE": self.calibration_error,
            "sizes": {each.name: each.to_json() for each in self.sizes},
        }


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often truths of each class are found as each class, by detections of any class with IoU 0.50."""

    names: tuple[str, ...]
    """Classes of the rows and columns; a last one of each is for background."""
    counts: tuple[tuple[int, ...], ...]
    """Rows are truths and columns are detections; the last row holds false positives, the last column misses."""

    def to_json(self) -> dict[str, Any]:
        """Names and counts."""
        return {"classes": [*self.names, BACKGROUND], "counts": [list(row) for row in self.counts]}


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Detections whose score lies in one range."""

    lower: float
    upper: float
    score: float
    """Mean score."""
    precision: float
    """Share of them that find a truth."""
    count: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether a score of 0.8 means that 80 % of such detections are true (Guo et al., arXiv 1706.04599)."""

    expected_error: float
    """Mean distance of score and precision over all detections (ECE)."""
    largest_error: float
    """Largest distance in a bin (MCE)."""
    bins: tuple[CalibrationBin, ...]

    def to_json(self) -> dict[str, Any]:
        """The errors and the bins."""
        return {"ECE": self.expected_error, "MCE": self.largest_error, "bins": [asdict(each) for each in self.bins]}


@dataclass(frozen=True, slots=True)
class Details:
    """Everything that hotcoco computes beside COCO's twelve numbers."""

    intervals: Mapping[str, BootstrapInterval]
    """Intervals of AP, AP50 and AP75 by name; none without truths."""
    rule: str
    """How the thresholds of the scores were chosen, in words."""
    classes: tuple[ClassDetails, ...]
    """In the order of ``Metrics.per_class``."""
    sizes: tuple[SizeSlice, ...]
    confusion: Confusion
    """Confusion of the detections that reach the thresholds of their classes."""
    calibration: Calibration
    tide: TideErrors | None
    """Kinds of errors of all detections."""

    @property
    def voc2007(self) -> float | None:
        """Mean of the classes' AP of VOC 2007."""
        return mean_of([each.voc2007 for each in self.classes])

    @property
    def voc2012(self) -> float | None:
        """Mean of the classes' AP of VOC 2012."""
        return mean_of([each.voc2012 for each in self.classes])

    def to_json(self) -> dict[str, Any]:
        """The values that ``evaluate --json`` has beside COCO's numbers."""
        return {
            "intervals": {name: each.to_json() for name, each in self.intervals.items()},
            "VOC2007": self.voc2007,
            "VOC2012": self.voc2012,
            "thresholds": self.rule,
            "sizes": {each.name: each.to_json() for each in self.sizes},
            "confusion": self.confusion.to_json(),
            "calibration": self.calibration.to_json(),
            "tide": None if self.tide is None else {"delta_ap": self.tide.delta_ap, "counts": self.tide.counts},
        }


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of the values that are defined; ``None`` where none is."""
    defined = [each for each in values if each is not None]
    return sum(defined) / len(defined) if defined else None
