"""COCO's twelve numbers and those of each class, as a value, as JSON and as text for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from faster_rcnn.evaluation.details import Details
from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of
from faster_rcnn.weights.thresholds import OperatingPoint


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """AP of one class."""

    name: str
    ap: float | None
    """Mean over IoU 0.50 to 0.95; ``None`` where the class has no truth."""
    ap50: float | None
    truths: int
    """Number of ground-truth boxes without the ignored ones."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """COCO's metrics of detections against the ground truth of a set of images.

    Values are 0..1 and ``None`` where no truth defines them. Small, medium and large are ranges of the truth's area:
    up to 32 x 32 pixels, from there to 96 x 96, and above. AP is the mean over IoU 0.50 to 0.95 and over the classes
    that have truths; AR is the recall that at most 1, 10 or 100 detections of each class in each image reach.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar1: float | None
    ar10: float | None
    ar100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    per_class: tuple[ClassMetrics, ...]
    """In the order of labels; unused labels are left out."""
    images: int
    truths: int
    """Number of ground-truth boxes without the ignored ones."""
    ignored: int
    """Number of boxes that are neither required nor penalised (COCO crowd, VOC difficult)."""
    engine: str
    """Name and version of the package that computed the numbers."""
    notes: tuple[str, ...]
    """Lines that a reader of the numbers should know."""
    details: Details | None = None
    """Intervals, thresholds, confusion and more; ``None`` where they were not asked for, or hotcoco is absent."""

    def to_json(self, split: str) -> dict[str, Any]:
        """The object that ``evaluate --json`` writes; ``None`` where undefined, never -1."""
        numbers = {key: getattr(self, field) for field, key, _ in _ROWS}
        classes = {c.name: {"AP": c.ap, "AP50": c.ap50, "truths": c.truths} for c in self.per_class}
        if self.details is None:
            return {**numbers, "per_class": classes, "images": self.images, "split": split}
        for each in self.details.classes:
            classes[each.name] |= each.to_json()
        return {**numbers, "per_class": classes, "images": self.images, "split": split, **self.details.to_json()}

    def table(self) -> str:
        """A text table: the twelve numbers, the classes, the counts and the notes."""
        lines = [self._row(field, key, meaning) for field, key, meaning in _ROWS] + self._detail_lines()
        counts = f"{count_of(self.images, 'image')}, {count_of(self.truths, 'box', 'boxes')} to find"
        if self.ignored:
            counts += f", {self.ignored} ignored (crowd or difficult)"
        return "\n".join(
            [*lines, "", *self._class_lines(), "", f"{counts}; {self.engine}", *map(printable, self.notes)]
        )

    def __str__(self) -> str:
        """The table."""
        return self.table()

    def _repr_html_(self) -> str:
        """The table in a notebook."""
        return f"<pre>{escape(self.table())}</pre>"

    def _row(self, field: str, key: str, meaning: str) -> str:
        value = getattr(self, field)
        if self.details is not None and key in self.details.intervals:
            interval = self.details.intervals[key]
            meaning += f"; {interval.lower:.3f} to {interval.upper:.3f} (interval of 95 %)"
        size = key[-1] if key[-1] in _SIZES else ""
        reason = f"no {_SIZES[size]} boxes" if size and self.truths else "no boxes to find"
        return f"{key:<6} {_number(value)}  {meaning if value is not None else reason}"

    def _detail_lines(self) -> list[str]:
        if self.details is None:
            return []
        rows = (
            ("VOC07", self.details.voc2007, "AP of VOC 2007, IoU 0.50: mean over 11 recalls"),
            ("VOC12", self.details.voc2012, "AP of VOC 2012, IoU 0.50: area below the curve"),
        )
        return [f"{key:<6} {_number(value)}  {meaning}" for key, value, meaning in rows]

    def _class_lines(self) -> list[str]:
        """A line for each class; names are last, as they have any length, and some scripts letters of two columns."""
        if self.details is None:
            head, points = "", [""] * len(self.per_class)
        else:
            head, points = _POINT, [_point(each.point) for each in self.details.classes]
        lines = [f"{'AP':<5}  {'AP50':<5}  {head}boxes  class"]
        for c, point in zip(self.per_class, points, strict=True):
            reason = "" if c.truths else " (no boxes of this class)"
            lines.append(f"{_number(c.ap)}  {_number(c.ap50)}  {point}{c.truths:>5}  {printable(c.name)}{reason}")
        if self.details is not None:
            lines.append(f"prec., recall and F1 at the score of {printable(self.details.rule)}, IoU 0.50")
        return lines


_SIZES = {"s": "small", "m": "medium", "l": "large"}

_ROWS = (
    ("ap", "AP", "mean over IoU 0.50 to 0.95"),
    ("ap50", "AP50", "IoU 0.50"),
    ("ap75", "AP75", "IoU 0.75"),
    ("ap_small", "APs", "small boxes, area up to 32 x 32 pixels"),
    ("ap_medium", "APm", "medium boxes, up to 96 x 96 pixels"),
    ("ap_large", "APl", "large boxes"),
    ("ar1", "AR1", "recall with 1 detection of a class in an image"),
    ("ar10", "AR10", "recall with 10"),
    ("ar100", "AR100", "recall with 100"),
    ("ar_small", "ARs", "recall of small boxes, with 100"),
    ("ar_medium", "ARm", "recall of medium boxes, with 100"),
    ("ar_large", "ARl", "recall of large boxes, with 100"),
)
"""Field, key in JSON, meaning."""


_POINT = f"{'prec.':<5}  {'recall':<6} {'F1':<5}  {'score':<5}  "


def _point(point: OperatingPoint | None) -> str:
    values = (None,) * 4 if point is None else (point.precision, point.recall, point.f1, point.score)
    return "".join(f"{_number(value)}  " for value in values)


def _number(value: float | None) -> str:
    return "n/a  " if value is None else f"{value:.3f}"
