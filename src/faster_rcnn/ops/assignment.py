"""Which references (anchors, then proposals) are positive, negative or neutral, and which of them are trained on.

Sections 3.1.2 (rules i and ii) and 3.1.3 (256 anchors, half of them positive) of Faster R-CNN. The second stage uses
the same functions with other numbers. No function here makes a GPU wait: shapes depend on shapes only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from faster_rcnn.ops.boxes import intersection, ioa_from_intersection, iou_from_intersection
from faster_rcnn.structures import GroundTruth, Matches, Sample

IGNORED_IOA_THRESHOLD = 0.5
"""A reference is neutral if its IoA with an ignored truth is at least this."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """The IoU of references with truths, reduced to what ``match`` needs for each reference."""

    iou: Float[Tensor, " references"]
    """Highest IoU with a truth; ignored truths do not count."""
    truth: Int[Tensor, " references"]
    """Index of that truth, the first of several with the same IoU; 0 where the IoU with all is 0."""
    is_best: Bool[Tensor, " references"]
    """Whether no other reference has a higher IoU with one of the truths (rule i)."""
    in_ignored: Bool[Tensor, " references"]
    """Whether the reference lies inside an ignored truth, by ``IGNORED_IOA_THRESHOLD``."""


Compare = Callable[[Tensor, GroundTruth, Tensor | None], Comparison]
"""``compare_all``, or a faster function with the same results."""


def compare_all(
    references: Float[Tensor, "references 4"], truth: GroundTruth, eligible: Bool[Tensor, " references"] | None
) -> Comparison:
    """Compare all references with all truths, of which there is at least one.

    The IoU of references that are not ``eligible`` counts as 0.
    """
    ious, inside = countable_ious(truth.boxes[:, None], references, truth.ignored[:, None], eligible)
    iou, best = ious.max(dim=0)  # (references,): over the truths, the first of equal ones
    highest = ious.amax(dim=1, keepdim=True) if len(references) else ious  # (truths, 1)
    is_best = (ious == highest) & (highest > 0)  # (truths, references)
    return Comparison(iou, best, is_best.any(dim=0), inside.any(dim=0))


def countable_ious(
    truths: Float[Tensor, "*truths 4"],
    references: Float[Tensor, "*references 4"],
    ignored: Bool[Tensor, "*truths"],
    eligible: Bool[Tensor, "*references"] | None,
) -> tuple[Float[Tensor, "rows columns"], Bool[Tensor, "rows columns"]]:
    """IoU of each pair, 0 where it must not count; and whether the reference lies inside the truth, which is ignored.

    It must not count for ignored truths and for references that are not ``eligible``. The shapes before the
    coordinates broadcast to those of the pairs.
    """
    shared = intersection(truths, references)
    inside = (ioa_from_intersection(shared, references) >= IGNORED_IOA_THRESHOLD) & ignored
    ious = iou_from_intersection(shared, truths, references).masked_fill_(ignored, 0)
    if eligible is not None:
        ious.masked_fill_(~eligible, 0)
    return ious, inside


def match(
    references: Float[Tensor, "references 4"],
    truth: GroundTruth,
    *,
    positive_iou: float,
    negative_iou: float,
    best_of_truth: bool,
    negative_iou_from: float = 0.0,
    eligible: Bool[Tensor, " references"] | None = None,
    compare: Compare = compare_all,
) -> Matches:
    """Decide which references are positive and which are negative for the truths of their image.

    Positive: an IoU of at least ``positive_iou`` with some truth, or (``best_of_truth``, rule i) the highest IoU of all
    references with some truth, ties included, provided that it is above 0: a truth that overlaps no reference makes
    none positive. Negative: an IoU below ``negative_iou`` with all truths, and of at least ``negative_iou_from`` with
    one. Ignored truths match no reference; a reference that lies half inside one and is not positive is neutral.
    References that are not ``eligible`` are neutral, and never the best of a truth. ``compare`` may be
    ``kernels.matching.compare``, which takes less time.
    """
    if len(truth.boxes) == 0:
        nothing = references.new_zeros(len(references), dtype=torch.bool)
        negative = ~nothing if eligible is None else eligible
        # Without a truth every IoU is 0: there may be no background at all.
        negative = negative if negative_iou_from == 0 else nothing
        return Matches(nothing.long(), references.new_zeros(len(references)), nothing, negative)
    found = compare(references, truth, eligible)
    positive = found.iou >= positive_iou
    if best_of_truth:
        # Rule (i) names an anchor, not a pair: the anchor is trained towards the truth of its own highest IoU, as in
        # torchvision and Detectron2, even if it was chosen as the best anchor of another truth.
        positive = positive | found.is_best
    negative = (found.iou < negative_iou) & (found.iou >= negative_iou_from) & ~positive & ~found.in_ignored
    if eligible is not None:
        negative = negative & eligible
    return Matches(found.truth, found.iou, positive, negative)


def sample(matches: Matches, *, size: int, positive_fraction: float, seed: int) -> Sample:
    """Choose a mini-batch of references at random, as a function of ``seed`` alone.

    At most ``size * positive_fraction`` are positives; negatives fill the rest. The sample has
    ``min(size, references)`` places, positives first. Places that could not be filled are not ``used``.
    """
    count = len(matches.positive)
    keys = _random_keys(count, seed, matches.positive.device)  # (references,)
    max_positives = min(int(size * positive_fraction), count)
    ranked = torch.where(matches.positive, keys, -1.0).topk(max_positives)  # (max_positives,)
    chosen = torch.zeros_like(keys).scatter_(0, ranked.indices, (ranked.values >= 0).float())  # (references,)
    # One order for all: chosen positives (2..3) before negatives (0..1) before neutral and surplus references (-1).
    order = torch.where(matches.negative, keys, -1.0)  # (references,)
    order = torch.where(chosen > 0, keys + 2, order)
    top = order.topk(min(size, count))  # (sampled,)
    return Sample(top.indices, top.values >= 2, top.values >= 0)


def _random_keys(count: int, seed: int, device: torch.device) -> Float[Tensor, " references"]:
    """Numbers in 0..1 that are the same on every device: they are made on the CPU."""
    # A GPU copies page-locked memory while the program goes on; of other memory it would have to be waited for.
    generator = torch.Generator().manual_seed(seed)
    keys = torch.rand(count, generator=generator, pin_memory=device.type == "cuda")
    return keys.to(device, non_blocking=True)
