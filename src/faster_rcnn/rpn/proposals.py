"""Section 3.3: from the first stage's output to proposals.

The twin of ``roi/detections.py``: the best anchors of each level are moved, clipped, and freed of doubles.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.ops.boxes import clip, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.ops.nms import nms
from faster_rcnn.structures import Anchors, ImageSize, Proposals


@dataclass(frozen=True, slots=True)
class ProposalFilter:
    """Numbers of ``RpnConfig``, for training or for inference."""

    before_nms: int
    after_nms: int
    nms_iou: float
    min_side: float
    score_floor: float


@torch.no_grad()
def select_proposals(
    logits: Float[Tensor, "anchors outputs"],
    deltas: Float[Tensor, "anchors 4"],
    anchors: Anchors,
    size: ImageSize,
    rule: ProposalFilter,
) -> Proposals:
    """Proposals of one image, best first, clipped to ``size``; without gradient, as in approximate joint training.

    For each level: the ``before_nms`` best-scored anchors are decoded and clipped, tiny ones are dropped, and
    suppression removes doubles. Of all levels together the ``after_nms`` best go on.
    """
    evidence = _evidence(logits)
    counts = list(anchors.per_level)
    kept = [
        _select_of_level(each_evidence, each_deltas, each_anchors, size, rule)
        for each_evidence, each_deltas, each_anchors in zip(
            torch.split(evidence, counts),
            torch.split(deltas, counts),
            torch.split(anchors.boxes, counts),
            strict=True,
        )
    ]
    all_boxes = torch.cat([boxes for boxes, _ in kept])
    all_scores = torch.cat([scores for _, scores in kept])
    # Stable, so that equal scores keep the order of levels on every machine.
    order = all_scores.argsort(descending=True, stable=True)[: rule.after_nms]
    return Proposals(all_boxes[order], all_scores[order])


def _evidence(logits: Tensor) -> Tensor:
    """The one logit of each anchor, or the difference of its two: the sigmoid of that is their softmax."""
    logits = logits.float()
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def _select_of_level(
    evidence: Tensor, deltas: Tensor, anchors: Tensor, size: ImageSize, rule: ProposalFilter
) -> tuple[Tensor, Tensor]:
    """Boxes (n, 4) and scores (n,) that remain of one level."""
    # Ranked before the sigmoid: float32 is too coarse near 1, where many probabilities would be equal.
    top = evidence.topk(min(rule.before_nms, len(evidence)))
    scores = top.values.sigmoid()
    boxes = clip(decode(deltas[top.indices], anchors[top.indices]), size)
    # Indices, not a mask: how many there are is asked once, for which a GPU waits.
    keep = torch.nonzero(sides_at_least(boxes, rule.min_side) & (scores >= rule.score_floor))[:, 0]
    boxes, best = boxes[keep], scores[keep]
    kept = nms(boxes, best, rule.nms_iou)[: rule.after_nms]
    return boxes[kept], best[kept]
