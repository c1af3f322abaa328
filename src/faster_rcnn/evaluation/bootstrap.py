"""How sure a metric is: intervals from bootstrap samples of the images, by hotcoco.

hotcoco 1.3 draws n of n images with replacement, and counts an image that is drawn several times once. A sample is thus
a random subset of m = n (1 - (1 - 1/n)^n) different images on average, 63 % of them, and a metric varies less between
subsets that share most of their images than between new sets of n: by the factor sqrt((n - m) / m), 0.76 for large n
(Shao and Wu, 1989). The standard error of a metric is therefore that of the samples divided by this factor, and an
interval of 95 % reaches 1.96 standard errors to both sides.
``benchmarks/intervals.py`` measures how many of these intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.engine import Columns, DetectionColumns

SAMPLES = 1000
"""How often images are drawn."""
CONFIDENCE = 0.95
"""Share of the intervals that are to hold what very many images would give."""
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
    """Share of hotcoco's samples in which the metric, or its change, is above 0, 0..1."""

    def to_json(self) -> dict[str, Any]:
        """The interval, and how it was drawn."""
        return {"lower": self.lower, "upper": self.upper, "confidence": CONFIDENCE, "samples": SAMPLES}


def change_intervals(before: Columns, after: Columns, samples: int = SAMPLES) -> dict[str, BootstrapInterval] | None:
    """Bootstrap intervals of the change of AP, AP50 and AP75 from one detector to another.

    Args:
        before: truths and the detections of the first detector.
        after: the same truths, and the detections of the second one.
        samples: how often images are drawn; the same draws on every machine.

    Returns:
        The intervals by the name of the metric; ``None`` without a truth, with a single image, and where pycocotools
        stands in for hotcoco, which has no bootstrap.
    """
    images = len(after.sizes)
    if not engine.has_hotcoco() or not len(after.truths.images) or images < 2:
        return None
    was, now = (_matched(columns) for columns in (before, after))
    found = engine.bootstrapped_change(was, now, samples)
    return {name: _interval(found["deltas"][name], found["ci"][name], images) for name in METRICS}


def _interval(value: float, samples: Mapping[str, float], images: int) -> BootstrapInterval:
    """The interval of a metric, from its value and its standard error in random subsets of the images."""
    drawn = images * (1 - (1 - 1 / images) ** images)
    standard_error = samples["std_err"] * math.sqrt(drawn / (images - drawn))
    reach = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2) * standard_error
    return BootstrapInterval(max(value - reach, -1.0), min(value + reach, 1.0), samples["prob_positive"])


def metric_intervals(columns: Columns, samples: int = SAMPLES) -> dict[str, BootstrapInterval] | None:
    """Bootstrap intervals of AP, AP50 and AP75 of one detector; see ``change_intervals``.

    They are those of the change from a detector that finds nothing, whose AP is 0 in every sample.
    """
    found = change_intervals(replace(columns, detections=_NOTHING), columns, samples)
    return found and {name: replace(each, lower=max(each.lower, 0.0)) for name, each in found.items()}


_NOTHING = DetectionColumns(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros((0, 4)), np.zeros(0))


def _matched(columns: Columns) -> Any:
    """Detections matched with truths of any area alone, which makes the samples three times faster."""
    evaluation = engine.hotcoco_evaluation(columns, engine.LIMITS[-1:])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [EVERY_AREA], [engine.AREAS[0]]
    evaluation.evaluate()
    return evaluation
