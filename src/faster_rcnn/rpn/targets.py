"""Sections 3.1.2 and 3.1.3: which anchors are trained on, and what they should become.

The twin of ``roi/targets.py``: anchors in the place of proposals, object or not in the place of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from faster_rcnn.ops.assignment import match, sample
from faster_rcnn.ops.deltas import encode
from faster_rcnn.structures import Anchors, GroundTruth, RpnTargets


@dataclass(frozen=True, slots=True)
class AnchorSampling:
    """Numbers of ``RpnConfig``."""

    positive_iou: float
    negative_iou: float
    samples: int
    positive_fraction: float


def rpn_targets(anchors: Anchors, truth: GroundTruth, rule: AnchorSampling, seed: int) -> RpnTargets:
    """Match all anchors of one image with its truths, sample some, and give those their deltas."""
    matches = match(
        anchors.boxes,
        truth,
        positive_iou=rule.positive_iou,
        negative_iou=rule.negative_iou,
        best_of_truth=True,
    )
    chosen = sample(matches, size=rule.samples, positive_fraction=rule.positive_fraction, seed=seed)
    boxes = anchors.boxes[chosen.indices]
    if len(truth.boxes) == 0:
        return RpnTargets(chosen.indices, chosen.positive, chosen.used, boxes.new_zeros(boxes.shape))
    deltas = encode(truth.boxes[matches.truth[chosen.indices]], boxes)
    return RpnTargets(chosen.indices, chosen.positive, chosen.used, deltas)
