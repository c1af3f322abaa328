"""Fast R-CNN, section 3: from the second stage's output to detections.

The twin of ``rpn/proposals.py``: each proposal is decoded once per class and clipped, and NMS removes the duplicates of
each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.ops.boxes import clip, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.ops.nms import nms_per_group
from faster_rcnn.structures import Detections, ImageSize, Proposals


@dataclass(frozen=True, slots=True)
class DetectionFilter:
    """Numbers of ``RoiConfig`` that decide which detections remain, and the labels that are never reported."""

    score_floor: float
    min_side: float
    nms_iou: float
    max_detections: int
    delta_weights: Sequence[float]
    holes: tuple[int, ...] = ()
    across_classes: bool = False
    """NMS compares detections of all classes, so that one place has one class; as in the papers, within a class."""


@torch.no_grad()
def select_detections(
    logits: Float[Tensor, "proposals outputs"],
    deltas: Float[Tensor, "proposals classes 4"],
    proposals: Proposals,
    size: ImageSize,
    rule: DetectionFilter,
) -> Detections:
    """Detections of one image, best first, clipped to ``size``, in the frame of the proposals.

    A proposal gives one candidate for each class whose score is above the floor; background, the last output, gives
    none. Only candidates are decoded. Each detection has the index of its proposal.
    """
    scores = class_probabilities(logits)[:, :-1]  # (P, K)
    if rule.holes:
        scores[:, list(rule.holes)] = 0
    proposal, label = torch.nonzero(scores > rule.score_floor, as_tuple=True)  # (C,) both, C candidates
    boxes = clip(decode(deltas[proposal, label], proposals.boxes[proposal], rule.delta_weights), size)  # (C, 4)
    candidates = Detections(boxes, scores[proposal, label], label, proposal)
    # Indices, not a mask: a GPU waits once for their number.
    candidates = candidates[torch.nonzero(sides_at_least(boxes, rule.min_side))[:, 0]]
    group = torch.zeros_like(candidates.labels) if rule.across_classes else candidates.labels
    kept = nms_per_group(candidates.boxes, candidates.scores, group, rule.nms_iou)[: rule.max_detections]  # (D,)
    return candidates[kept]


def class_probabilities(logits: Float[Tensor, "proposals outputs"]) -> Float[Tensor, "proposals outputs"]:
    """Probabilities of the classes, then of background, 0..1."""
    # The sum begins with background, as in torchvision: its order decides the last bit of a probability, and that bit
    # decides which of two nearly equal boxes survives NMS.
    return logits.float().roll(1, dims=1).softmax(dim=1).roll(-1, dims=1)
