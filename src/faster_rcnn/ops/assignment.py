"""Which references (anchors, then proposals) are positive, negative or neutral, and which of them are trained on.

Sections 3.1.2 (rules i and ii) and 3.1.3 (256 anchors, half of them positive) of Faster R-CNN; the second stage uses
the same two functions with other numbers. Nothing here makes a GPU wait: shapes depend on shapes only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.ops import boxes as box_ops
from faster_rcnn.structures import GroundTruth, Matches, Sample

COVERED_BY_IGNORED = 0.5
"""A reference that lies at least this much inside an ignored region is neutral."""

MOST_PAIRS = 2**21
"""Truths times references that are compared at once: 8 MB for each number of a pair, which a cache can hold."""


def match(
    references: Float[Tensor, "references 4"],
    truth: GroundTruth,
    *,
    positive_iou: float,
    negative_iou: float,
    best_of_truth: bool,
    negative_iou_from: float = 0.0,
    eligible: Bool[Tensor, " references"] | None = None,
) -> Matches:
    """Compare each reference with the truths of its image.

    Positive: overlap of at least ``positive_iou`` with some truth, or (``best_of_truth``, rule i) the reference of
    highest overlap with a truth, ties included, provided it overlaps at all: a truth that nothing overlaps makes
    nothing positive. Negative: overlap below ``negative_iou`` with all, and of at least ``negative_iou_from`` with
    one. Ignored truths match nothing; a reference that lies half inside one and is not positive is neutral. So are
    those that are not ``eligible``, which are nobody's best either.
    """
    if len(truth.boxes) == 0:
        nothing = references.new_zeros(len(references), dtype=torch.bool)
        negative = ~nothing if eligible is None else eligible
        # Without a truth every overlap is 0: there may be no background at all.
        negative = negative if negative_iou_from == 0 else nothing
        return Matches(nothing.long(), references.new_zeros(len(references)), nothing, negative)
    found = _compare(references, truth, eligible)
    positive = found.overlap >= positive_iou
    if best_of_truth:
        # Rule (i) names an anchor, not a pair: it is trained towards the truth that it overlaps most, as
        # torchvision and Detectron2 do, even if it was chosen for being the best of another one.
        positive = positive | found.is_best
    negative = (found.overlap < negative_iou) & (found.overlap >= negative_iou_from) & ~positive & ~found.in_ignored
    if eligible is not None:
        negative = negative & eligible
    return Matches(found.truth, found.overlap, positive, negative)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """What is known of each reference after some truths."""

    overlap: Float[Tensor, " references"]
    """The highest with a truth, ignored ones not counted."""
    truth: Int[Tensor, " references"]
    """The index of that truth."""
    is_best: Bool[Tensor, " references"]
    """Whether no reference overlaps one of the truths more."""
    in_ignored: Bool[Tensor, " references"]

    def and_then(self, later: _Compared, first: int) -> _Compared:
        """The same after more truths, which begin at the index ``first``."""
        higher = later.overlap > self.overlap
        return _Compared(
            overlap=torch.where(higher, later.overlap, self.overlap),
            truth=torch.where(higher, later.truth + first, self.truth),
            is_best=self.is_best | later.is_best,
            in_ignored=self.in_ignored | later.in_ignored,
        )


def _compare(references: Tensor, truth: GroundTruth, eligible: Tensor | None) -> _Compared:
    """Each reference with all truths, so many truths at once as ``MOST_PAIRS`` allows: memory stays flat."""
    rows = max(1, MOST_PAIRS // max(1, len(references)))
    parts = zip(truth.boxes.split(rows), truth.ignored.split(rows), strict=True)
    done: _Compared | None = None
    for number, (boxes, ignored) in enumerate(parts):
        some = _compare_some(references, boxes, ignored, eligible)
        done = some if done is None else done.and_then(some, number * rows)
    assert done is not None
    return done


def _compare_some(references: Tensor, boxes: Tensor, ignored: Tensor, eligible: Tensor | None) -> _Compared:
    shared = box_ops.intersection(boxes, references)
    inside = box_ops.share_of(shared, references)
    overlaps = box_ops.iou_of(shared, boxes, references)
    overlaps.masked_fill_(ignored[:, None], 0)
    if eligible is not None:
        overlaps.masked_fill_(~eligible, 0)
    overlap, best = overlaps.max(dim=0)
    highest = overlaps.amax(dim=1, keepdim=True) if len(references) else overlaps
    is_best = (overlaps == highest) & (highest > 0)
    in_ignored = (inside >= COVERED_BY_IGNORED) & ignored[:, None]
    return _Compared(overlap, best, is_best.any(dim=0), in_ignored.any(dim=0))


def sample(matches: Matches, *, size: int, positive_fraction: float, seed: int) -> Sample:
    """Choose a mini-batch of references at random, a function of ``seed`` alone.

    At most ``size * positive_fraction`` positives; negatives fill the rest. The sample has ``min(size, references)``
    places, positives first; places that could not be filled are not ``used``.
    """
    count = len(matches.positive)
    keys = torch.rand(count, generator=torch.Generator().manual_seed(seed)).to(matches.positive.device)
    most_positives = min(int(size * positive_fraction), count)
    ranked = torch.where(matches.positive, keys, -1.0).topk(most_positives)
    chosen = torch.zeros_like(keys).scatter_(0, ranked.indices, (ranked.values >= 0).float())
    # One order for all: chosen positives (2..3) before negatives (0..1) before what may not be taken (-1).
    order = torch.where(matches.negative, keys, -1.0)
    order = torch.where(chosen > 0, keys + 2, order)
    top = order.topk(min(size, count))
    return Sample(top.indices, top.values >= 2, top.values >= 0)
