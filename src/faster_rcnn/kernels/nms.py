"""NMS of all levels, classes and images in one call: ``ops.nms`` for many groups, with the same survivors.

A GPU waits at every call of NMS, whose number of survivors decides the next shape. Here it waits once, whatever the
number of groups, and once more for the number of survivors of each image, where there are several.

Every group of boxes is moved to a place of its own, so that boxes of two groups never intersect::

    group 0          group 1          group 2          unfit boxes
    [0, extent)      [extent, ...)    [2 extent, ...)  [3 extent, 3 extent + 1), all the same box

The shift is added in float64, whose 53 bits hold a shift of 2^20 pixels and coordinates down to 2^-33 pixels. Rounding
below that keeps the order of coordinates, so boxes that do not intersect still do not, and changes an IoU far less than
float32 does, in which ``ops.nms`` compares boxes of a level: both may decide differently only where an IoU is within
1e-6 of the threshold. Boxes of a class are compared in float64 by ``ops.nms``, too.

Shapes in comments: N boxes, K of them survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from faster_rcnn.kernels import together
from faster_rcnn.ops import nms as plain


def survivors_of_levels(
    boxes: Float[Tensor, "images candidates 4"],
    scores: Float[Tensor, "images candidates"],
    fit: Bool[Tensor, "images candidates"],
    per_level: Sequence[int],
    iou_threshold: float,
    max_results: int,
) -> list[Int[Tensor, " _"]]:
    """Do what ``ops.nms.survivors_of_levels`` does, in the way that is fast on this device."""
    if not together.computed_together(boxes):
        return plain.survivors_of_levels(boxes, scores, fit, per_level, iou_threshold, max_results)
    images, candidates = scores.shape
    levels = torch.cat(
        [torch.full((count,), level, device=boxes.device) for level, count in enumerate(per_level)]
    )  # (candidates,)
    rows = torch.arange(images, device=boxes.device)[:, None]  # (images, 1)
    flat = boxes.flatten(0, 1), scores.flatten(), fit.flatten(), (rows * len(per_level) + levels).flatten()
    found = survivors_together(*flat, len(per_level), images, iou_threshold, max_results)
    return [own - index * candidates for index, own in enumerate(found)]


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
    """Do what ``ops.nms.survivors_of_groups`` does, in the way that is fast on this device."""
    ways = survivors_together if together.computed_together(boxes) else plain.survivors_of_groups
    if len(boxes) > together.MAX_BOXES:  # all pairs of all images would take too much memory
        ways = plain.survivors_of_groups
    return ways(boxes, scores, fit, groups, groups_per_image, images, iou_threshold, max_results)


def survivors_together(
    boxes: Float[Tensor, "boxes 4"],
    scores: Float[Tensor, " boxes"],
    fit: Bool[Tensor, " boxes"],
    groups: Int[Tensor, " boxes"],
    groups_per_image: int,
    images: int,
    iou_threshold: float,
    max_results: int,
) -> list[Int[Tensor, " _"]]:
    """Do what ``ops.nms.survivors_of_groups`` does, by one call of NMS for all groups of all images.

    Boxes are clipped: no coordinate is below 0.
    """
    kept = _fit_survivors(boxes, scores, fit, groups, groups_per_image * images, iou_threshold)  # (K,), best first
    if images == 1:
        return [kept[:max_results]]
    own = groups[kept] // groups_per_image  # (K,): the image of each
    order = own.argsort(stable=True)  # (K,): image by image, best first in each
    borders = torch.searchsorted(own[order], torch.arange(images + 1, device=own.device)).tolist()
    by_image = kept[order]
    return [by_image[first : min(end, first + max_results)] for first, end in pairwise(borders)]


def _fit_survivors(
    boxes: Tensor, scores: Tensor, fit: Tensor, groups: Tensor, count: int, iou_threshold: float
) -> Int[Tensor, " survivors"]:
    """Survivors of all groups, best first, without the boxes that are not fit; ``count`` is the number of groups.

    To drop unfit boxes before NMS, a GPU would be waited for to count them. They all become one unit box of a group of
    its own, with the lowest score. One such box is added, so that exactly one of them survives, as the last.
    """
    unit = (torch.arange(4, device=boxes.device) // 2).to(boxes.dtype)[None]  # (1, 4): 0, 0, 1, 1
    given = torch.cat((torch.where(fit[:, None], boxes, unit), unit)).double()  # (N + 1, 4)
    extent = given.max() + 1  # clipped boxes begin at 0
    shift = pad(torch.where(fit, groups, count), (0, 1), value=count).double() * extent  # (N + 1,)
    ranked = pad(torch.where(fit, scores, -torch.inf), (0, 1), value=-torch.inf)  # (N + 1,)
    if iou_threshold >= 1:
        order = ranked.argsort(descending=True, stable=True)  # (N + 1,)
        return order[torch.nonzero(ranked[order] > -torch.inf)[:, 0]]
    return plain.nms(given + shift[:, None], ranked.double(), iou_threshold)[:-1]
