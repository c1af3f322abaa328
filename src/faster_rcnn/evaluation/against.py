"""Two detectors measured on the same images: which one is better, by how much, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faster_rcnn.data.records import Split
from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.bootstrap import CONFIDENCE
from faster_rcnn.evaluation.change import NAME, Change, MetricChange, change_between, change_line, metric_lines
from faster_rcnn.evaluation.coco import ExactDetections
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.structures import Detections
from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """A detector, or a file of detections, and what it found in a split."""

    model: str
    """Its name, as the user gave it."""
    split: Split
    """The images, with the classes that are measured."""
    found: Mapping[int, Detections | ExactDetections]
    """Detections by the index of their record; an image that could not be read has no entry."""
    how: Mapping[str, object]
    """Device, precision and threads, as ``Evaluation`` has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The metrics of a detector, and the change to it from another one."""

    own: Side
    other: Side
    change: Change
    """From the other detector to the own one: a rise means that the own one is better."""

    def table(self) -> str:
        """The own metrics, then both side by side, and what follows from them."""
        sides = f"before: {printable(self.other.model)}; after: {printable(self.own.model)}"
        parts = [
            self.change.after.table(),
            "\n".join([sides, *metric_lines(self.change.metrics)]),
            "\n".join(self._class_lines()),
            self.verdict(),
        ]
        return "\n\n".join(parts)

    def verdict(self) -> str:
        """The sentence that answers which of both is better."""
        ap = self.change.metrics["AP"]
        own, other = printable(self.own.model), printable(self.other.model)
        images = count_of(self.change.after.images, "image")
        if ap.change is None:
            return "Neither is better: no object defines AP."
        if ap.change == 0:
            return f"{own} and {other} have equal AP on {images}."
        better, worse = (own, other) if ap.change > 0 else (other, own)
        sentence = f"{better} is better than {worse} by {abs(ap.change):.3f} AP on {images}"
        if ap.interval is None:
            return f"{sentence}; whether chance explains it is not known without hotcoco."
        sign = 1 if ap.change > 0 else -1  # the interval is that of the better one's lead
        ends = sorted((sign * ap.interval.lower, sign * ap.interval.upper))
        interval = f"the interval of {CONFIDENCE:.0%} is {ends[0]:+.3f} to {ends[1]:+.3f}"
        if ap.is_significant:
            return f"{sentence}; that is more than chance: {interval}."
        return f"{sentence}; that may be chance: {interval}."

    def to_json(self) -> dict[str, Any]:
        """The object of ``evaluate --json`` with the key ``against``, which holds the other detector and the change."""
        before = self.change.before
        per_class = {each.name: {"AP": each.ap, "AP50": each.ap50} for each in before.per_class}
        against = {
            "model": self.other.model,
            **{name: each.before for name, each in self.change.metrics.items()},
            "per_class": per_class,
            "changes": {name: _change(each) for name, each in self.change.metrics.items()},
            **self.other.how,
        }
        return {**self.change.after.to_json(self.own.split.name), **self.own.how, "against": against}

    def _class_lines(self) -> list[str]:
        rows = zip(self.change.before.per_class, self.change.after.per_class, strict=True)
        lines = [change_line(after.name, before.ap, after.ap) for before, after in rows]
        return [f"{'AP of a class':<{NAME}}before   after  change", *lines]


def compare_sides(own: Side, other: Side) -> Comparison:
    """Measure both on the images that both could read.

    Raises ``OptionError`` where they are measured on other classes, as a region proposal network and a detector are.
    """
    if own.split.classes != other.split.classes:
        raise OptionError(
            f"--against {other.model}: it is measured on other classes than {own.model}, such as a region proposal "
            "network, which has one class; compare detectors of one kind"
        )
    common = sorted(own.found.keys() & other.found.keys())
    truths = truths_of([own.split.records[place] for place in common])
    before, after = ([side.found[place] for place in common] for side in (other, own))
    return Comparison(own, other, change_between(truths, before, after, own.split.classes))


def _change(change: MetricChange) -> dict[str, Any]:
    numbers = change.to_json()
    return {"change": numbers["change"], "interval": numbers["interval"], "significant": change.is_significant}
