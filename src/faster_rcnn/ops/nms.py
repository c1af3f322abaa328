"""Greedy non-maximum suppression (NMS, section 3.3): keep the best box, remove its duplicates, and so on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import nms as _nms


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
