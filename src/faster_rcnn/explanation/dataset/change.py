"""The change of AP from one detector to another on the images that both judged."""

from __future__ import annotations

from collections.abc import Mapping

from faster_rcnn.evaluation.change import MetricChange, change_between
from faster_rcnn.evaluation.split import truths_of
from faster_rcnn.explanation.dataset.pairs import CommonImages


def change_on(common: CommonImages) -> Mapping[str, MetricChange]:
    """AP, AP50 and AP75 of two detectors on their common images, by name, with bootstrap intervals of the change."""
    return change_between(truths_of(common.records), common.before, common.after, common.classes).metrics
