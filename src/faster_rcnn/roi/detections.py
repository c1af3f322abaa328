"""Fast R-CNN, section 3: from the second stage's output to detections.

The twin of ``rpn/proposals.py``: each proposal is moved once per class, clipped, and freed of doubles within a class.
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
    """Numbers of ``RoiConfig``, and the labels that are never reported."""

    score_floor: float
    min_side: float
    nms_iou: float
    most: int
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
    none. Only candidates are decoded.
    """
    # Background first, as torchvision has it: the order of a sum decides its last bit, and that bit which of two
    # nearly equal boxes survives suppression.
    scores = logits.float().roll(1, dims=1).softmax(dim=1)[:, 1:]
    if rule.holes:
        scores[:, list(rule.holes)] = 0
    proposal, label = torch.nonzero(scores > rule.score_floor, as_tuple=True)
    boxes = clip(decode(deltas[proposal, label], proposals.boxes[proposal], rule.delta_weights), size)
    score = scores[proposal, label]
    # Indices, not a mask: how many there are is asked once, for which a GPU waits.
    large = torch.nonzero(sides_at_least(boxes, rule.min_side))[:, 0]
    boxes, score, label = boxes[large], score[large], label[large]
    group = torch.zeros_like(label) if rule.across_classes else label
    kept = nms_per_group(boxes, score, group, rule.nms_iou)[: rule.most]
    return Detections(boxes[kept], score[kept], label[kept])
