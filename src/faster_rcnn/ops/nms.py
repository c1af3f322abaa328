"""Greedy non-maximum suppression (NMS, section 3.3): keep the best box, remove its duplicates, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchvision.ops import nms as _nms

from faster_rcnn.ops.constants import constant


def nms(boxes: Float[Tensor, "boxes 4"], scores: Float[Tensor, " boxes"], iou_threshold: float) -> Int[Tensor, " kept"]:
    """Indices of the boxes that survive, best first.

    A box is removed if its IoU with a surviving box of a higher score exceeds ``iou_threshold``; no IoU exceeds 1.
    """
    if iou_threshold >= 1:
        return scores.argsort(descending=True, stable=True)
    kept: Tensor = _nms(boxes, scores, iou_threshold)
    return kept


def nms_per_group(
    boxes: Float[Tensor, "boxes 4"],
    scores: Float[Tensor, " boxes"],
    groups: Int[Tensor, " boxes"],
    iou_threshold: float,
) -> Int[Tensor, " kept"]:
    """NMS within each group (class or level): indices over all groups, best first.

    Boxes of each group are shifted to a place of their own, so that one call serves all groups. The shift is added in
    float64: in float32 many classes or a large image would cost the boxes their fractions.
    ``torchvision.ops.batched_nms`` shifts in float32 and chooses its method by size, which cannot be exported.
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    if iou_threshold >= 1:
        return scores.argsort(descending=True, stable=True)
    exact = boxes.double()
    spread = exact.max() - exact.min() + 1
    kept: Tensor = _nms(exact + (groups.double() * spread)[:, None], scores.double(), iou_threshold)
    return kept


def survivors_of_levels(
    boxes: Float[Tensor, "images candidates 4"],
    scores: Float[Tensor, "images candidates"],
    fit: Bool[Tensor, "images candidates"],
    per_level: Sequence[int],
    iou_threshold: float,
    max_results: int,
) -> list[Int[Tensor, " _"]]:
    """NMS within each level of each image: indices of an image's candidates, best first, at most ``max_results``.

    Candidates come level after level. Those that are not ``fit`` take no part. Equal scores keep the order of levels.
    """
    rule = per_level, iou_threshold, max_results
    return [_survivors_of_levels(*of_image, *rule) for of_image in zip(boxes, scores, fit, strict=True)]


def _survivors_of_levels(
    boxes: Tensor, scores: Tensor, fit: Tensor, per_level: Sequence[int], iou_threshold: float, max_results: int
) -> Int[Tensor, " survivors"]:
    """Survivors of one image."""
    places, counts = places_per_level(fit, per_level)
    # One call per level: a single call for all levels would compare all pairs of candidates.
    of_levels = zip(
        boxes[places].split(counts), scores[places].split(counts), accumulate(counts, initial=0), strict=False
    )
    best = [nms(level, own, iou_threshold)[:max_results] + start for level, own, start in of_levels]
    kept = places[torch.cat(best)]  # level after level
    # Stable, so that equal scores keep the order of levels on every machine.
    return kept[scores[kept].argsort(descending=True, stable=True)[:max_results]]


def places_per_level(
    chosen: Bool[Tensor, " candidates"], per_level: Sequence[int]
) -> tuple[Int[Tensor, " chosen"], list[int]]:
    """Where a mask over the candidates of all levels is true, and how many places there are in each level."""
    places = torch.nonzero(chosen)[:, 0]
    ends = torch.searchsorted(places, constant(list(accumulate(per_level)), places.device)).tolist()
    return places, [end - start for start, end in pairwise([0, *ends])]


def survivors_of_groups(
    boxes: Float[Tensor, "boxes 4"],
    scores: Float[Tensor, " boxes"],
    fit: Bool[Tensor, " boxes"],
    groups: Int[Tensor, " boxes"],
    groups_per_image: int,
    images: int,
    iou_threshold: float,
    max_results: int,
) -> list[Int[Tensor, " _"]]:
    """NMS within each group (class) of each image: for each image the indices of survivors, best first.

    The first ``groups_per_image`` groups are those of the first image, and so on. Each image keeps at most
    ``max_results`` boxes. Boxes that are not ``fit`` take no part.
    """
    found = []
    for image in range(images):
        own = fit if images == 1 else fit & (groups // groups_per_image == image)
        places = torch.nonzero(own)[:, 0]
        kept = nms_per_group(boxes[places], scores[places], groups[places], iou_threshold)
        found.append(places[kept[:max_results]])
    return found
