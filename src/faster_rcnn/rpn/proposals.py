"""Section 3.3: from the first stage's output to proposals.

The twin of ``roi/detections.py``: the best anchors of each level are moved, clipped, and freed of doubles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.ops.boxes import clip, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.ops.nms import nms
from faster_rcnn.structures import Anchors, ImageSize, Proposals

Level = tuple[Tensor, Tensor]
"""Boxes (n, 4) and scores (n,) of one level, best first."""
FIRST_LOOKS = (5, 10)
"""Candidates of all levels that are looked at first, in multiples of the proposals that are wanted."""


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
    levels = _candidates(_evidence(logits), deltas, anchors, size, rule)
    kept = _suppress_best(levels, rule) if deltas.device.type == "cpu" else _suppress(levels, rule)
    all_boxes = torch.cat([boxes for boxes, _ in kept])
    all_scores = torch.cat([scores for _, scores in kept])
    # Stable, so that equal scores keep the order of levels on every machine.
    order = all_scores.argsort(descending=True, stable=True)[: rule.after_nms]
    return Proposals(all_boxes[order], all_scores[order])


def _evidence(logits: Tensor) -> Tensor:
    """The one logit of each anchor, or the difference of its two: the sigmoid of that is their softmax."""
    logits = logits.float()
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def _candidates(
    evidence: Tensor, deltas: Tensor, anchors: Anchors, size: ImageSize, rule: ProposalFilter
) -> list[Level]:
    """The best anchors of each level, moved and clipped, those of all levels at once; tiny ones are dropped."""
    # Ranked before the sigmoid: float32 is too coarse near 1, where many probabilities would be equal.
    best = [each.topk(min(rule.before_nms, len(each))) for each in evidence.split(anchors.per_level)]
    starts = accumulate(anchors.per_level, initial=0)
    chosen = torch.cat([top.indices + start for top, start in zip(best, starts, strict=False)])
    scores = torch.cat([top.values for top in best]).sigmoid()
    boxes = clip(decode(deltas[chosen], anchors.boxes[chosen]), size)
    fit = sides_at_least(boxes, rule.min_side) & (scores >= rule.score_floor)
    counts = [len(top.values) for top in best]
    levels = []
    for of_level, its_scores, its_fit in zip(boxes.split(counts), scores.split(counts), fit.split(counts), strict=True):
        # Indices, not a mask: how many there are is asked once, for which a GPU waits.
        keep = torch.nonzero(its_fit)[:, 0]
        levels.append((of_level[keep], its_scores[keep]))
    return levels


def _suppress(levels: Sequence[Level], rule: ProposalFilter) -> list[Level]:
    """What remains of each level when doubles are gone."""
    kept = [nms(boxes, scores, rule.nms_iou)[: rule.after_nms] for boxes, scores in levels]
    return [(boxes[each], scores[each]) for (boxes, scores), each in zip(levels, kept, strict=True)]


def _suppress_best(levels: Sequence[Level], rule: ProposalFilter) -> list[Level]:
    """As ``_suppress``, as far as the ``after_nms`` best of all levels go, in less time.

    Whether a box is a double hangs on better ones alone. So the candidates with the best scores are looked at first,
    a few for each proposal that is wanted, and the others only where too few of those remain.
    """
    ranked = torch.cat([scores for _, scores in levels]).sort(descending=True).values
    for share in FIRST_LOOKS:
        if share * rule.after_nms >= len(ranked):
            break
        floor = ranked[share * rule.after_nms]
        better = [int((scores > floor).sum()) for _, scores in levels]
        first = [(boxes[:count], scores[:count]) for (boxes, scores), count in zip(levels, better, strict=True)]
        kept = _suppress(first, rule)
        if sum(len(scores) for _, scores in kept) >= rule.after_nms:
            return kept
    return _suppress(levels, rule)
