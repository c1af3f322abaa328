"""Which references (anchors, then proposals) are positive, negative or neutral, and which of them are trained on.

Sections 3.1.2 (rules i and ii) and 3.1.3 (256 anchors, half of them positive) of Faster R-CNN; the second stage uses
the same two functions with other numbers. Nothing here makes a GPU wait: shapes depend on shapes only.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from faster_rcnn.ops.matching import compare
from faster_rcnn.structures import GroundTruth, Matches, Sample


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
    found = compare(references, truth, eligible)
    positive = found.overlap >= positive_iou
    if best_of_truth:
        # Rule (i) names an anchor, not a pair: it is trained towards the truth that it overlaps most, as
        # torchvision and Detectron2 do, even if it was chosen for being the best of another one.
        positive = positive | found.is_best
    negative = (found.overlap < negative_iou) & (found.overlap >= negative_iou_from) & ~positive & ~found.in_ignored
    if eligible is not None:
        negative = negative & eligible
    return Matches(found.truth, found.overlap, positive, negative)


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
