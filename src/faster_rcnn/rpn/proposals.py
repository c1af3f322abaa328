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

from faster_rcnn.kernels.candidates import top_candidates
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
    for candidates in _candidate_sets(best, rule):
        boxes, scores = _decode_and_suppress(candidates, deltas, anchors, size, rule)
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


def _candidate_sets(best: _Ranked, rule: ProposalFilter) -> Iterator[_Ranked]:
    """Growing sets of the top candidates of all levels; the last one holds all of them."""
    for mask in top_candidates(best.scores, rule.after_nms):
        if mask is None:
            yield best
        else:
            places, per_level = _places(mask, best.per_level)
            yield _Ranked(best.scores[places], best.anchors[places], per_level)


def _decode_and_suppress(
    candidates: _Ranked, deltas: Tensor, anchors: Anchors, size: ImageSize, rule: ProposalFilter
) -> tuple[Float[Tensor, "kept 4"], Float[Tensor, " kept"]]:
    """Decode and clip candidates, drop tiny boxes, and remove duplicates: boxes and scores, level after level."""
    boxes = clip(decode(deltas[candidates.anchors], anchors.boxes[candidates.anchors]), size)
    fit = sides_at_least(boxes, rule.min_side) & (candidates.scores >= rule.score_floor)
    places, per_level = _places(fit, candidates.per_level)
    boxes, scores = boxes[places], candidates.scores[places]
    of_levels = zip(boxes.split(per_level), scores.split(per_level), accumulate(per_level, initial=0), strict=False)
    remaining = [nms(its_boxes, its, rule.nms_iou)[: rule.after_nms] + start for its_boxes, its, start in of_levels]
    kept = torch.cat(remaining)
    return boxes[kept], scores[kept]


def _places(chosen: Bool[Tensor, " ranked"], per_level: Sequence[int]) -> tuple[Int[Tensor, " chosen"], list[int]]:
    """Where a mask is true, and how many these are of each level; both are asked for, for which a GPU waits."""
    places = torch.nonzero(chosen)[:, 0]
    ends = torch.searchsorted(places, torch.tensor(list(accumulate(per_level)), device=places.device)).tolist()
    return places, [end - start for start, end in pairwise([0, *ends])]
