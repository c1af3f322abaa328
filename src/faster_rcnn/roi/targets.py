"""Fast R-CNN, section 2.3: which proposals are trained on, and their targets.

The twin of ``rpn/targets.py``: proposals in the place of anchors, classes in the place of object or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from faster_rcnn.kernels.matching import compare
from faster_rcnn.ops.assignment import match, sample
from faster_rcnn.ops.deltas import encode
from faster_rcnn.structures import GroundTruth, Proposals, RoiTargets


@dataclass(frozen=True, slots=True)
class RegionSampling:
    """Numbers of ``RoiConfig`` that decide which regions are sampled."""

    positive_iou: float
    negative_iou: float
    samples: int
    positive_fraction: float
    delta_weights: Sequence[float]
    negative_iou_from: float = 0.0
    """Regions whose IoU with every truth is lower are not trained on."""


def roi_targets(
    proposals: Proposals, truth: GroundTruth, rule: RegionSampling, background: int, seed: int
) -> RoiTargets:
    """Match the proposals of one image with its truths, sample regions, give those their class and their deltas.

    The truths themselves join the proposals, so that there are good regions from the first step on. Regions that are
    not positive have the label ``background``.
    """
    candidates = torch.cat((proposals.boxes, truth.boxes))
    matches = match(
        candidates,
        truth,
        positive_iou=rule.positive_iou,
        negative_iou=rule.negative_iou,
        negative_iou_from=rule.negative_iou_from,
        best_of_truth=False,
        compare=compare,
    )
    chosen = sample(matches, size=rule.samples, positive_fraction=rule.positive_fraction, seed=seed)
    boxes = candidates[chosen.indices]
    if len(truth.boxes) == 0:
        labels = torch.full_like(chosen.indices, background)
        return RoiTargets(boxes, labels, chosen.positive, chosen.used, torch.zeros_like(boxes))
    truth_of = matches.truth[chosen.indices]
    labels = torch.where(chosen.positive, truth.labels[truth_of], background)
    deltas = encode(truth.boxes[truth_of], boxes, rule.delta_weights)
    return RoiTargets(boxes, labels, chosen.positive, chosen.used, deltas)
