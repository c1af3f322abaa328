"""Sections 3.1.2 and 3.1.3: which anchors are trained on, and their targets.

The twin of ``roi/targets.py``: anchors in the place of proposals, object or not in the place of classes.
"""

from __future__ import annotations

from dataclasses import dataclass

from faster_rcnn.kernels.matching import compare
from faster_rcnn.ops.assignment import match, sample
from faster_rcnn.ops.boxes import inside
from faster_rcnn.ops.deltas import encode
from faster_rcnn.structures import Anchors, GroundTruth, ImageSize, RpnTargets


@dataclass(frozen=True, slots=True)
class AnchorSampling:
    """Numbers of ``RpnConfig`` that decide which anchors are sampled."""

    positive_iou: float
    negative_iou: float
    samples: int
    positive_fraction: float
    ignore_crossing: bool = False
    """Whether anchors that cross the image border are left out (section 3.3)."""


def rpn_targets(
    anchors: Anchors, truth: GroundTruth, rule: AnchorSampling, seed: int, size: ImageSize | None = None
) -> RpnTargets:
    """Match all anchors of one image with its truths, sample some, and give those their deltas.

    ``size`` is that of the image inside its padding: anchors that cross its border are left out if ``rule`` has it so.
    Without a size none crosses.
    """
    eligible = inside(anchors.boxes, size) if rule.ignore_crossing and size is not None else None
    matches = match(
        anchors.boxes,
        truth,
        positive_iou=rule.positive_iou,
        negative_iou=rule.negative_iou,
        best_of_truth=True,
        eligible=eligible,
        compare=compare,
    )
    chosen = sample(matches, size=rule.samples, positive_fraction=rule.positive_fraction, seed=seed)
    boxes = anchors.boxes[chosen.indices]
    if len(truth.boxes) == 0:
        return RpnTargets(chosen.indices, chosen.positive, chosen.used, boxes.new_zeros(boxes.shape))
    deltas = encode(truth.boxes[matches.truth[chosen.indices]], boxes)
    return RpnTargets(chosen.indices, chosen.positive, chosen.used, deltas)
