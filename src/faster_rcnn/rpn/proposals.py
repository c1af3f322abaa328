"""Section 3.3: from the first stage's output to proposals.

The twin of ``roi/detections.py``: the best anchors of each level are decoded and clipped, and NMS removes duplicates.
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
    """Numbers of ``RpnConfig`` that decide which proposals remain, in training or in inference."""

    before_nms: int
    after_nms: int
    nms_iou: float
    min_side: float
    score_floor: float


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """Anchors that may become proposals, with their scores: level after level, each level best first."""

    scores: Float[Tensor, " candidates"]
    anchors: Int[Tensor, " candidates"]
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

    For each level the ``before_nms`` best-scored anchors are decoded and clipped, tiny boxes are dropped, and NMS
    removes duplicates. The ``after_nms`` best of all levels remain. Each proposal has the index of its anchor.
    """
    best = _best_anchors(objectness_logit(logits), anchors, rule)
    for candidates in _candidate_sets(best, rule):
        proposals = _decode_and_suppress(candidates, deltas, anchors, size, rule)
        if len(proposals.scores) >= rule.after_nms:
            break
    # Stable, so that equal scores keep the order of levels on every machine.
    return proposals[proposals.scores.argsort(descending=True, stable=True)[: rule.after_nms]]


def objectness_logit(logits: Float[Tensor, "anchors outputs"]) -> Float[Tensor, " anchors"]:
    """The one logit of each anchor, or the difference of its two: the sigmoid of that is their softmax."""
    logits = logits.float()
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def _best_anchors(logit: Float[Tensor, " anchors"], anchors: Anchors, rule: ProposalFilter) -> _Candidates:
    """The ``before_nms`` best anchors of each level."""
    # Ranked before the sigmoid: float32 is too coarse near 1, where many probabilities would be equal.
    best = [each.topk(min(rule.before_nms, len(each))) for each in logit.split(anchors.per_level)]  # (n,) each
    starts = accumulate(anchors.per_level, initial=0)
    indices = torch.cat([top.indices + start for top, start in zip(best, starts, strict=False)])  # (C,)
    return _Candidates(torch.cat([top.values for top in best]).sigmoid(), indices, [len(top.values) for top in best])


def _candidate_sets(best: _Candidates, rule: ProposalFilter) -> Iterator[_Candidates]:
    """Growing sets of the top candidates of all levels; the last set holds all of them."""
    for mask in top_candidates(best.scores, rule.after_nms):
        if mask is None:
            yield best
        else:
            places, per_level = _places(mask, best.per_level)
            yield _Candidates(best.scores[places], best.anchors[places], per_level)


def _decode_and_suppress(
    candidates: _Candidates, deltas: Tensor, anchors: Anchors, size: ImageSize, rule: ProposalFilter
) -> Proposals:
    """Decode and clip candidates, drop tiny boxes, and remove duplicates; proposals are ordered level after level."""
    boxes = clip(decode(deltas[candidates.anchors], anchors.boxes[candidates.anchors]), size)  # (C, 4)
    fit = sides_at_least(boxes, rule.min_side) & (candidates.scores >= rule.score_floor)  # (C,)
    places, per_level = _places(fit, candidates.per_level)
    found = Proposals(boxes, candidates.scores, candidates.anchors)[places]
    # One call per level: a single call for all levels would compare all pairs of candidates.
    of_levels = zip(
        found.boxes.split(per_level), found.scores.split(per_level), accumulate(per_level, initial=0), strict=False
    )
    return found[
        torch.cat([nms(level, scores, rule.nms_iou)[: rule.after_nms] + start for level, scores, start in of_levels])
    ]


def _places(chosen: Bool[Tensor, " candidates"], per_level: Sequence[int]) -> tuple[Int[Tensor, " chosen"], list[int]]:
    """Where a mask is true, and how many places there are in each level; a GPU waits once for each of the two."""
    places = torch.nonzero(chosen)[:, 0]
    ends = torch.searchsorted(places, torch.tensor(list(accumulate(per_level)), device=places.device)).tolist()
    return places, [end - start for start, end in pairwise([0, *ends])]
