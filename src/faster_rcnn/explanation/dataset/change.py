"""The change of AP from one detector to another on the same images, and whether the choice of images explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faster_rcnn.evaluation.coco import ExactDetections, columns_of, measure
from faster_rcnn.evaluation.engine import BOOTSTRAP_CONFIDENCE, BOOTSTRAP_SAMPLES, BootstrapInterval, change_intervals
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.explanation.dataset.pairs import CommonImages

NAMES = {"AP": "ap", "AP50": "ap50", "AP75": "ap75"}
"""COCO's names of the metrics that are compared, with the names of their fields in ``Metrics``."""


@dataclass(frozen=True, slots=True)
class MetricChange:
    """One metric by both detectors."""

    before: float | None
    after: float | None
    """0..1; ``None`` where no truth defines it."""
    interval: BootstrapInterval | None
    """The interval of the change over bootstrap samples of the images; ``None`` where hotcoco cannot be imported."""

    @property
    def change(self) -> float | None:
        """How much the metric rises."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def is_significant(self) -> bool | None:
        """Whether the interval of the change excludes 0; ``None`` without an interval."""
        return None if self.interval is None else self.interval.lower > 0 or self.interval.upper < 0

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain values."""
        numbers = {"before": self.before, "after": self.after, "change": self.change}
        if self.interval is None:
            return {**numbers, "interval": None}
        interval = {
            "lower": self.interval.lower,
            "upper": self.interval.upper,
            "share_above_0": self.interval.share_above_0,
            "confidence": BOOTSTRAP_CONFIDENCE,
            "samples": BOOTSTRAP_SAMPLES,
        }
        return {**numbers, "interval": interval}


def change_on(common: CommonImages) -> Mapping[str, MetricChange]:
    """AP, AP50 and AP75 of two detectors on their common images, by name, with bootstrap intervals of the change."""
    truths = truths_of(common.records)
    was, now = ([ExactDetections.of(each) for each in side] for side in (common.before, common.after))
    before, after = (measure(truths, side, common.classes) for side in (was, now))
    intervals = change_intervals(columns_of(truths, was, common.classes), columns_of(truths, now, common.classes))
    return {
        name: MetricChange(_value(before, field), _value(after, field), (intervals or {}).get(name))
        for name, field in NAMES.items()
    }


def _value(metrics: Metrics, field: str) -> float | None:
    value: float | None = getattr(metrics, field)
    return value
