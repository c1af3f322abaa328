"""How sure a metric is: intervals of the bootstrap over the images (Efron, 1979), by hotcoco."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.engine import Columns, DetectionColumns

SAMPLES = 1000
"""How often the images are drawn with replacement."""
CONFIDENCE = 0.95
"""Share of the samples that lie in an interval."""
METRICS = ("AP", "AP50", "AP75")
"""Metrics that have an interval."""
EVERY_AREA = [0.0, 1e10]
"""COCO's range of a truth's area that holds all truths, in square pixels."""


@dataclass(frozen=True, slots=True)
class BootstrapInterval:
    """How much a metric may change by the choice of the images."""

    lower: float
    upper: float
    share_above_0: float
    """Share of the samples in which the metric is above 0, 0..1."""

    def to_json(self) -> dict[str, Any]:
        """The interval, and how it was drawn."""
        return {"lower": self.lower, "upper": self.upper, "confidence": CONFIDENCE, "samples": SAMPLES}


def change_intervals(before: Columns, after: Columns, samples: int = SAMPLES) -> dict[str, BootstrapInterval] | None:
    """Bootstrap intervals of the change of AP, AP50 and AP75 from one detector to another.

    Args:
        before: truths and the detections of the first detector.
        after: the same truths, and the detections of the second one.
        samples: how often the images are drawn with replacement; the same draws on every machine.

    Returns:
        The intervals by the name of the metric; ``None`` without a truth, and where pycocotools stands in for hotcoco,
        which has no bootstrap.
    """
    if not engine.has_hotcoco() or not len(after.truths.images):
        return None
    was, now = (_matched(columns) for columns in (before, after))
    found = engine.bootstrapped_change(was, now, samples, CONFIDENCE)
    return {
        name: BootstrapInterval(found[name]["lower"], found[name]["upper"], found[name]["prob_positive"])
        for name in METRICS
    }


def metric_intervals(columns: Columns, samples: int = SAMPLES) -> dict[str, BootstrapInterval] | None:
    """Bootstrap intervals of AP, AP50 and AP75 of one detector; see ``change_intervals``.

    They are those of the change from a detector that finds nothing, whose AP is 0 in every sample.
    """
    return change_intervals(replace(columns, detections=_NOTHING), columns, samples)


_NOTHING = DetectionColumns(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 4)), np.zeros(0))


def _matched(columns: Columns) -> Any:
    """Detections matched with truths of any area alone, which makes the samples three times faster."""
    evaluation = engine.hotcoco_evaluation(columns, engine.LIMITS[-1:])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [EVERY_AREA], [engine.AREAS[0]]
    evaluation.evaluate()
    return evaluation
