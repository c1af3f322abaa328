"""Section 3.3: from the first stage's output to proposals.

The twin of ``roi/detections.py``: the best anchors of each level are decoded and clipped, and NMS removes duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.kernels.candidates import top_candidates
from faster_rcnn.kernels.nms import survivors_of_levels
from faster_rcnn.kernels.together import groups_of_images
from faster_rcnn.ops.boxes import clip_to, limits_of, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.ops.nms import places_per_level
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

    scores: Float[Tensor, "images candidates"]
    anchors: Int[Tensor, "images candidates"]
    """Indices over all levels."""
    per_level: Sequence[int]


@torch.no_grad()
def select_of_images(
    logits: Float[Tensor, "images anchors outputs"],
    deltas: Float[Tensor, "images anchors 4"],
    anchors: Anchors,
    sizes: Sequence[ImageSize],
    rule: ProposalFilter,
) -> list[Proposals]:
    """Proposals of each image, best first, clipped to its size; without gradient, as in approximate joint training.

    For each level the ``before_nms`` best-scored anchors are decoded and clipped, tiny boxes are dropped, and NMS
    removes duplicates. The ``after_nms`` best of all levels remain. Each proposal has the index of its anchor.
    """
    candidates = sum(min(rule.before_nms, count) for count in anchors.per_level)
    groups = groups_of_images(len(sizes), candidates, logits)
    parts = [_select(logits[own], deltas[own], anchors, sizes[own], rule) for own in groups]
    return [proposals for part in parts for proposals in part]


def select_proposals(
    logits: Float[Tensor, "anchors outputs"],
    deltas: Float[Tensor, "anchors 4"],
    anchors: Anchors,
    size: ImageSize,
    rule: ProposalFilter,
) -> Proposals:
    """Proposals of one image, as ``select_of_images`` gives them."""
    [proposals] = select_of_images(logits[None], deltas[None], anchors, [size], rule)
    return proposals


def _select(
    logits: Tensor, deltas: Tensor, anchors: Anchors, sizes: Sequence[ImageSize], rule: ProposalFilter
) -> list[Proposals]:
    """Proposals of images that are computed together."""
    images, limits = torch.arange(len(sizes), device=logits.device)[:, None], limits_of(sizes, deltas)[:, None]
    best = _best_anchors(objectness_logit(logits), anchors, rule)
    for candidates in _candidate_sets(best, rule):
        moved = decode(deltas[images, candidates.anchors], anchors.boxes[candidates.anchors])  # (B, C, 4)
        boxes = clip_to(moved, limits)  # (B, C, 4)
        fit = sides_at_least(boxes, rule.min_side) & (candidates.scores >= rule.score_floor)  # (B, C)
        # For each of the images the indices of its proposals among the candidates.
        kept = survivors_of_levels(
            boxes, candidates.scores, fit, candidates.per_level, rule.nms_iou, max_results=rule.after_nms
        )
        if all(len(own) >= rule.after_nms for own in kept):
            break
    rows = zip(boxes, candidates.scores, candidates.anchors, strict=True)
    return [Proposals(*row)[own] for row, own in zip(rows, kept, strict=True)]


def objectness_logit(logits: Float[Tensor, "*any outputs"]) -> Float[Tensor, "*any"]:
    """The one logit of each anchor, or the difference of its two: the sigmoid of that is their softmax."""
    logits = logits.float()
    return logits[..., 0] if logits.shape[-1] == 1 else logits[..., 1] - logits[..., 0]


def _best_anchors(logit: Float[Tensor, "images anchors"], anchors: Anchors, rule: ProposalFilter) -> _Candidates:
    """The ``before_nms`` best anchors of each level of each image."""
    # Ranked before the sigmoid: float32 is too coarse near 1, where many probabilities would be equal.
    of_levels = logit.split(anchors.per_level, dim=1)
    best = [each.topk(min(rule.before_nms, each.shape[1]), dim=1) for each in of_levels]  # (B, n) each
    starts = accumulate(anchors.per_level, initial=0)
    indices = torch.cat([top.indices + start for top, start in zip(best, starts, strict=False)], dim=1)  # (B, C)
    scores = torch.cat([top.values for top in best], dim=1).sigmoid()  # (B, C)
    return _Candidates(scores, indices, [top.values.shape[1] for top in best])


def _candidate_sets(best: _Candidates, rule: ProposalFilter) -> Iterator[_Candidates]:
    """Growing sets of the top candidates of all levels; the last set holds all of them."""
    for mask in top_candidates(best.scores, rule.after_nms):
        if mask is None:
            yield best
        else:
            places, per_level = places_per_level(mask, best.per_level)
            yield _Candidates(best.scores[:, places], best.anchors[:, places], per_level)
