"""COCO's twelve numbers and those of each class, as a value, as JSON and as text for a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of


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

    def to_json(self, split: str) -> dict[str, Any]:
        """The object that ``evaluate --json`` writes; ``None`` where undefined, never -1."""
        numbers = {key: getattr(self, field) for field, key, _ in _ROWS}
        classes = {c.name: {"AP": c.ap, "AP50": c.ap50, "truths": c.truths} for c in self.per_class}
        return {**numbers, "per_class": classes, "images": self.images, "split": split}

    def table(self) -> str:
        """A text table: the twelve numbers, the classes, the counts and the notes."""
        lines = [self._row(field, key, meaning) for field, key, meaning in _ROWS]
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
        size = key[-1] if key[-1] in _SIZES else ""
        reason = f"no {_SIZES[size]} boxes" if size and self.truths else "no boxes to find"
        return f"{key:<6} {_number(value)}  {meaning if value is not None else reason}"

    def _class_lines(self) -> list[str]:
        """A line for each class; names are last, as they have any length, and some scripts letters of two columns."""
        lines = [f"{'AP':<5}  {'AP50':<5}  boxes  class"]
        for c in self.per_class:
            reason = "" if c.truths else " (no boxes of this class)"
            lines.append(f"{_number(c.ap)}  {_number(c.ap50)}  {c.truths:>5}  {printable(c.name)}{reason}")
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


def _number(value: float | None) -> str:
    return "n/a  " if value is None else f"{value:.3f}"
