"""The change of AP from one detector to another on the same images, and whether the choice of images explains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faster_rcnn.evaluation.bootstrap import BootstrapInterval, change_intervals
from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage, columns_of, metrics_of
from faster_rcnn.evaluation.engine import curves
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.structures import ClassMap, Detections
from faster_rcnn.system.terminal import printable

NAMES = {"AP": "ap", "AP50": "ap50", "AP75": "ap75"}
"""COCO's names of the metrics that are compared, with the names of their fields in ``Metrics``."""

NAME = 22
"""Width of the column of names."""


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
        return {**numbers, "interval": {**self.interval.to_json(), "share_above_0": self.interval.share_above_0}}


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """COCO's metrics of two detectors on the same images, and the change from the first to the second."""

    before: Metrics
    after: Metrics
    metrics: Mapping[str, MetricChange]
    """AP, AP50 and AP75 by name, with bootstrap intervals of the change."""


def change_between(
    truths: Sequence[TruthOfImage],
    before: Sequence[Detections | ExactDetections],
    after: Sequence[Detections | ExactDetections],
    classes: ClassMap,
) -> Change:
    """Measure the detections of two detectors in the same images, which are in the order of ``truths``."""
    was, now = (columns_of(truths, side, classes) for side in (before, after))
    first, second = (metrics_of(curves(columns), columns, classes) for columns in (was, now))
    intervals = change_intervals(was, now) or {}
    values = {name: (getattr(first, field), getattr(second, field)) for name, field in NAMES.items()}
    return Change(first, second, {name: MetricChange(*both, intervals.get(name)) for name, both in values.items()})


def metric_lines(changes: Mapping[str, MetricChange]) -> list[str]:
    """The metrics of both detectors, with the interval of the change."""
    lines = [f"{'':<{NAME}}before   after  change  interval of 95 %"]
    for name, each in changes.items():
        line = change_line(name, each.before, each.after)
        if each.interval is not None:
            line += f"  {_signed(each.interval.lower)} to {_signed(each.interval.upper)}, {verdict_on(each)}"
        lines.append(line)
    if all(each.interval is None for each in changes.values()):
        lines.append("intervals of the change need hotcoco, and at least one object")
    return lines


def change_line(name: str, before: float | None, after: float | None) -> str:
    """A value of both detectors, and how much it rises."""
    change = None if before is None or after is None else after - before
    return f"{short_name(name):<{NAME}}{_number(before):>6}  {_number(after):>6}  {_signed(change):>6}"


def short_name(name: str) -> str:
    """A name that fits the column of names, without control characters."""
    name = printable(name)
    return name if len(name) < NAME else f"{name[: NAME - 3]}.."


def verdict_on(change: MetricChange) -> str:
    """Whether a change with an interval is more than the choice of images explains."""
    if change.change == 0:
        return "no change"
    return "significant" if change.is_significant else "may be chance"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "n/a" if value is None else f"{value:+.3f}"
