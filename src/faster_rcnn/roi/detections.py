"""Fast R-CNN, section 3: from the second stage's output to detections.

The twin of ``rpn/proposals.py``: each proposal is decoded once per class and clipped, and NMS removes the duplicates of
each class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.kernels.nms import survivors_of_groups
from faster_rcnn.kernels.together import groups_of_images
from faster_rcnn.ops.boxes import clip_to, limits_of, sides_at_least
from faster_rcnn.ops.constants import constant
from faster_rcnn.ops.deltas import decode
from faster_rcnn.structures import Detections, ImageSize, Proposals


@dataclass(frozen=True, slots=True)
class DetectionFilter:
    """Numbers of ``RoiConfig`` that decide which detections remain, and the labels that are never reported."""

    score_floor: float
    min_side: float
    nms_iou: float
    max_detections: int
    delta_weights: Sequence[float]
    holes: tuple[int, ...] = ()
    across_classes: bool = False
    """NMS compares detections of all classes, so that one place has one class; as in the papers, within a class."""


@torch.no_grad()
def select_of_images(
    logits: Float[Tensor, "proposals outputs"],
    deltas: Float[Tensor, "proposals classes 4"],
    proposals: Sequence[Proposals],
    sizes: Sequence[ImageSize],
    rule: DetectionFilter,
) -> list[Detections]:
    """Detections of each image, best first, clipped to its size, in the frame of the proposals.

    Rows of ``logits`` and ``deltas`` belong to the proposals, image by image. A proposal gives one candidate for each
    class whose score is above the floor; background, the last output, gives none. Only candidates are decoded. Each
    detection has the index of its proposal.
    """
    counts = [len(each.boxes) for each in proposals]
    starts = [0, *accumulate(counts)]
    found: list[Detections] = []
    for own in groups_of_images(len(sizes), boxes_per_image=0, tensor=logits):
        last = min(own.stop, len(sizes))
        rows = slice(starts[own.start], starts[last])
        found += _select(logits[rows], deltas[rows], proposals[own], sizes[own], rule)
    return found


def select_detections(
    logits: Float[Tensor, "proposals outputs"],
    deltas: Float[Tensor, "proposals classes 4"],
    proposals: Proposals,
    size: ImageSize,
    rule: DetectionFilter,
) -> Detections:
    """Detections of one image, as ``select_of_images`` gives them."""
    [detections] = select_of_images(logits, deltas, [proposals], [size], rule)
    return detections


def _select(
    logits: Tensor, deltas: Tensor, proposals: Sequence[Proposals], sizes: Sequence[ImageSize], rule: DetectionFilter
) -> list[Detections]:
    """Detections of images that are computed together."""
    scores = class_probabilities(logits)[:, :-1]  # (P, K)
    for hole in rule.holes:
        scores[:, hole] = 0
    row, label = torch.nonzero(scores > rule.score_floor, as_tuple=True)  # (C,) both, C candidates
    image, proposal = _origins(row, [len(each.boxes) for each in proposals])  # (C,) both
    references = torch.cat([each.boxes for each in proposals])  # (P, 4)
    moved = decode(deltas[row, label], references[row], rule.delta_weights)  # (C, 4)
    boxes = clip_to(moved, limits_of(sizes, moved)[image])  # (C, 4)
    fit = sides_at_least(boxes, rule.min_side)  # (C,)
    # Detections of a group compete: those of a class, or all of an image.
    groups_per_image = 1 if rule.across_classes else scores.shape[1]
    group = image if rule.across_classes else image * groups_per_image + label  # (C,)
    candidates = Detections(boxes, scores[row, label], label, proposal)
    kept = survivors_of_groups(
        boxes, candidates.scores, fit, group, groups_per_image, len(sizes), rule.nms_iou, rule.max_detections
    )
    return [candidates[own] for own in kept]


def _origins(
    rows: Int[Tensor, " candidates"], counts: Sequence[int]
) -> tuple[Int[Tensor, " candidates"], Int[Tensor, " candidates"]]:
    """The image of each row, and its place among the rows of that image; ``counts`` are the rows of the images.

    >>> _origins(torch.tensor([0, 2, 4]), [3, 0, 2])
    (tensor([0, 0, 2]), tensor([0, 2, 1]))
    """
    ends = constant(list(accumulate(counts)), rows.device)  # (images,)
    images = torch.searchsorted(ends, rows, right=True)  # (candidates,)
    return images, rows - (ends - constant(list(counts), rows.device))[images]


def class_probabilities(logits: Float[Tensor, "proposals outputs"]) -> Float[Tensor, "proposals outputs"]:
    """Probabilities of the classes, then of background, 0..1."""
    # The sum begins with background, as in torchvision: its order decides the last bit of a probability, and that bit
    # decides which of two nearly equal boxes survives NMS.
    return logits.float().roll(1, dims=1).softmax(dim=1).roll(-1, dims=1)
