"""Greedy non-maximum suppression (section 3.3): the best box stays, what overlaps it too much goes, and so on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchvision.ops import nms as _nms


def nms(boxes: Float[Tensor, "boxes 4"], scores: Float[Tensor, " boxes"], iou_threshold: float) -> Int[Tensor, " kept"]:
    """Indices of the boxes that stay, best first; of two that overlap by more than ``iou_threshold`` the worse goes."""
    kept: Tensor = _nms(boxes, scores, iou_threshold)
    return kept


def nms_per_group(
    boxes: Float[Tensor, "boxes 4"],
    scores: Float[Tensor, " boxes"],
    groups: Int[Tensor, " boxes"],
    iou_threshold: float,
) -> Int[Tensor, " kept"]:
    """The same, where only boxes of one group (class or level) compete; indices over all groups, best first.

    Each group is moved to a place of its own, so that one call serves all. The shift is added in float64: in float32
    many classes or a large image would cost the boxes their fractions. ``torchvision.ops.batched_nms`` does this in
    float32 and chooses by size, which cannot be exported.
    """
    if len(boxes) == 0:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    exact = boxes.double()
    spread = exact.max() - exact.min() + 1
    kept: Tensor = _nms(exact + (groups.double() * spread)[:, None], scores.double(), iou_threshold)
    return kept
