"""Precision and recall of each class by the threshold of its score, at one IoU threshold, from hotcoco's matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.engine import Columns
from faster_rcnn.weights.thresholds import OperatingPoint

IOU = 0.5
"""Lowest IoU of a detection with the truth that it finds."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """The detections of one class that count, best first, and whether each finds a truth of its own."""

    scores: NDArray[np.float64]  # (D,)
    are_true: NDArray[np.bool_]  # (D,)
    truths: int
    """Number of truths without the ignored ones."""

    def average_precision(self, recalls: NDArray[np.float64]) -> float | None:
        """Mean of the interpolated precision at some recalls; ``None`` without truths."""
        if not self.truths:
            return None
        return engine.average_precision(self.scores, self.are_true, self.truths, recalls)

    def voc2007(self) -> float | None:
        """AP of PASCAL VOC 2007: the mean of the interpolated precision at the recalls 0.0, 0.1, ... 1.0."""
        return self.average_precision(np.arange(11) / 10)

    def voc2012(self) -> float | None:
        """AP of PASCAL VOC 2010 to 2012: the area below the interpolated precision.

        Recall rises in steps of 1 / truths, so the area is the mean over the ends of the steps.
        """
        return self.average_precision(np.arange(1, self.truths + 1) / max(self.truths, 1))

    def at(self, score: float) -> OperatingPoint | None:
        """What the detections of at least this score reach; ``None`` without truths; no detection has precision 0."""
        if not self.truths:
            return None
        kept = self.scores >= score
        true = int((self.are_true & kept).sum())
        return OperatingPoint(score, true / max(int(kept.sum()), 1), true / self.truths)

    def frontier(self) -> tuple[OperatingPoint, ...]:
        """The thresholds between which there is a choice: no other one has as high a precision and recall.

        Best score first. Each threshold lies midway between the lowest score that it keeps and the next one, or 0.
        """
        if not self.truths:
            return ()
        ends = np.flatnonzero(np.diff(self.scores, append=-1.0))  # the last one of equal scores
        true = np.cumsum(self.are_true)[ends]
        lower = np.append(self.scores[ends[1:]], 0.0)
        points: list[OperatingPoint] = []
        for place in reversed(range(len(ends))):
            precision, recall = float(true[place] / (ends[place] + 1)), float(true[place] / self.truths)
            if not true[place] or (points and precision <= points[-1].precision):
                continue
            if points and points[-1].recall == recall:
                del points[-1]
            points.append(OperatingPoint(float((self.scores[ends[place]] + lower[place]) / 2), precision, recall))
        return tuple(reversed(points))


def hits_of(columns: Columns, evaluation: Any) -> list[Hits]:
    """The hits of each category of ``columns``, which ``evaluation`` of hotcoco has matched."""
    status = evaluation.image_diagnostics(iou_thr=IOU)["dt_status"]
    found = columns.detections
    rows = np.array([number - 1 for number, kind in status.items() if kind in ("tp", "fp")], dtype=np.int64)
    are_true = np.zeros(len(found.scores), dtype=bool)
    are_true[[number - 1 for number, kind in status.items() if kind == "tp"]] = True
    required = columns.truths.categories[~columns.truths.ignored]
    hits = []
    for category in range(1, columns.num_categories + 1):
        own = np.sort(rows[found.categories[rows] == category])
        order = own[np.argsort(-found.scores[own], kind="stable")]
        hits.append(Hits(found.scores[order], are_true[order], int((required == category).sum())))
    return hits
