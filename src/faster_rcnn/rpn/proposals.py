"""Section 3.3: from the first stage's output to proposals.

The twin of ``roi/detections.py``: the best anchors of each level are moved, clipped, and freed of doubles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.ops.boxes import clip, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.ops.nms import nms
from faster_rcnn.structures import Anchors, ImageSize, Proposals

FIRST_LOOKS = (5, 10)
"""Anchors of all levels that are looked at first, in multiples of the proposals that are wanted."""


@dataclass(frozen=True, slots=True)
class ProposalFilter:
    """Numbers of ``RpnConfig``, for training or for inference."""

    before_nms: int
    after_nms: int
    nms_iou: float
    min_side: float
    score_floor: float


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """Anchors and their scores: level after level, each best first."""

    scores: Float[Tensor, " ranked"]
    anchors: Int[Tensor, " ranked"]
    """Indices over all levels."""
    per_level: Sequence[int]


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
    best = _best_anchors(_evidence(logits), anchors, rule)
    for look in _looks(best, rule) if logits.device.type == "cpu" else [best]:
        boxes, scores = _without_doubles(look, deltas, anchors, size, rule)
        if len(scores) >= rule.after_nms:
            break
    # Stable, so that equal scores keep the order of levels on every machine.
    order = scores.argsort(descending=True, stable=True)[: rule.after_nms]
    return Proposals(boxes[order], scores[order])


def _evidence(logits: Tensor) -> Tensor:
    """The one logit of each anchor, or the difference of its two: the sigmoid of that is their softmax."""
    logits = logits.float()
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def _best_anchors(evidence: Tensor, anchors: Anchors, rule: ProposalFilter) -> _Ranked:
    """The ``before_nms`` best of each level."""
    # Ranked before the sigmoid: float32 is too coarse near 1, where many probabilities would be equal.
    best = [each.topk(min(rule.before_nms, len(each))) for each in evidence.split(anchors.per_level)]
    starts = accumulate(anchors.per_level, initial=0)
    indices = torch.cat([top.indices + start for top, start in zip(best, starts, strict=False)])
    return _Ranked(torch.cat([top.values for top in best]).sigmoid(), indices, [len(top.values) for top in best])


def _looks(best: _Ranked, rule: ProposalFilter) -> Iterator[_Ranked]:
    """The best of all levels, a few for each proposal that is wanted; then more; then all.

    Whether a box is a double hangs on better ones alone. So where enough boxes remain of the first look, those of the
    others are worse, and need not be made.
    """
    ranked = best.scores.sort(descending=True).values
    for share in FIRST_LOOKS:
        if share * rule.after_nms >= len(ranked):
            break
        places, per_level = _places(best.scores > ranked[share * rule.after_nms], best.per_level)
        yield _Ranked(best.scores[places], best.anchors[places], per_level)
    yield best


def _without_doubles(
    look: _Ranked, deltas: Tensor, anchors: Anchors, size: ImageSize, rule: ProposalFilter
) -> tuple[Float[Tensor, "kept 4"], Float[Tensor, " kept"]]:
    """Boxes of anchors, moved and clipped, and scores, level after level: tiny ones are dropped, and doubles."""
    boxes = clip(decode(deltas[look.anchors], anchors.boxes[look.anchors]), size)
    fit = sides_at_least(boxes, rule.min_side) & (look.scores >= rule.score_floor)
    places, per_level = _places(fit, look.per_level)
    boxes, scores = boxes[places], look.scores[places]
    of_levels = zip(boxes.split(per_level), scores.split(per_level), accumulate(per_level, initial=0), strict=False)
    remaining = [nms(its_boxes, its, rule.nms_iou)[: rule.after_nms] + start for its_boxes, its, start in of_levels]
    kept = torch.cat(remaining)
    return boxes[kept], scores[kept]


def _places(chosen: Bool[Tensor, " ranked"], per_level: Sequence[int]) -> tuple[Int[Tensor, " chosen"], list[int]]:
    """Where a mask is true, and how many these are of each level; both are asked for, for which a GPU waits."""
    places = torch.nonzero(chosen)[:, 0]
    ends = torch.searchsorted(places, torch.tensor(list(accumulate(per_level)), device=places.device)).tolist()
    return places, [end - start for start, end in pairwise([0, *ends])]
