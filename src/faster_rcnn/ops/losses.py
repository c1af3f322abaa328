"""The terms of Eq. 1, each a sum and the number of sampled references that it is divided by.

Sums are float32. ``used`` marks the places of a sample that were filled; the others have weight 0. The normaliser
is torchvision's: the number of sampled references (anchors or regions), positive and negative, of all images
together, for the class and the box term alike. The paper divides the box term of the first stage by the number of
positions and multiplies it by lambda = 10, which ``positions`` and ``BoxLoss.weight`` do; Detectron2 divides by the
configured sample size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss
from torchvision.ops import complete_box_iou_loss, generalized_box_iou_loss

from faster_rcnn.choices import BoxLossKind
from faster_rcnn.losses import Term
from faster_rcnn.ops.constants import constant
from faster_rcnn.ops.deltas import MAX_LOG_CHANGE, UNWEIGHTED, decode


@dataclass(frozen=True, slots=True)
class BoxLoss:
    """How predicted deltas are compared with true ones: numbers from the settings of a stage."""

    kind: BoxLossKind = "smooth_l1"
    beta: float = 1 / 9
    """The difference at which smooth L1 changes from quadratic to linear."""
    weight: float = 1.0
    """Lambda of Eq. 1."""
    delta_weights: Sequence[float] = UNWEIGHTED
    """The weights that the deltas were encoded with."""


def objectness_loss(
    logits: Float[Tensor, "sampled outputs"], positive: Bool[Tensor, " sampled"], used: Bool[Tensor, " sampled"]
) -> Term:
    """Log loss of object or no object, from one logit per reference or from two (no object, object)."""
    if logits.shape[1] == 2:
        terms = cross_entropy(logits.float(), positive.long(), reduction="none")
    else:
        terms = binary_cross_entropy_with_logits(logits[:, 0].float(), positive.float(), reduction="none")
    return Term((terms * used).sum(), used.sum())


def class_loss(
    logits: Float[Tensor, "sampled classes"], labels: Int[Tensor, " sampled"], used: Bool[Tensor, " sampled"]
) -> Term:
    """Log loss of the true class among all classes and background."""
    terms = cross_entropy(logits.float(), labels, reduction="none")
    return Term((terms * used).sum(), used.sum())


def box_loss(
    deltas: Float[Tensor, "sampled 4"],
    targets: Float[Tensor, "sampled 4"],
    references: Float[Tensor, "sampled 4"],
    positive: Bool[Tensor, " sampled"],
    used: Bool[Tensor, " sampled"],
    rule: BoxLoss,
    positions: int | None = None,
) -> Term:
    """Weighted loss between predicted and true deltas of the positive references.

    Smooth L1 (Fast R-CNN, Eq. 3) and L1 are summed over the four deltas; GIoU and CIoU compare the boxes that the
    deltas make of ``references``. Divided by the number of sampled references, or by ``positions`` where given.
    """
    weight = positive & used
    # Masked before the loss: the target of a reference that is not positive may be infinite, and 0 x infinity is NaN.
    deltas = deltas.float().masked_fill(~weight[:, None], 0)
    targets = targets.masked_fill(~weight[:, None], 0)
    if rule.kind in ("giou", "ciou"):
        # A reference that does not count is replaced by any valid box.
        valid = torch.where(weight[:, None], references, constant([0.0, 0.0, 1.0, 1.0], references.device))
        compare = generalized_box_iou_loss if rule.kind == "giou" else complete_box_iou_loss
        # A box of height 0 has no aspect ratio, and CIoU no gradient: sides shrink at most by the factor they may grow.
        lowest = [-math.inf, -math.inf, *(-MAX_LOG_CHANGE * each for each in rule.delta_weights[2:])]
        predicted = decode(deltas.maximum(constant(lowest, deltas.device)), valid, rule.delta_weights)
        total = (compare(predicted, decode(targets, valid, rule.delta_weights)) * weight).sum()
    else:
        beta = rule.beta if rule.kind == "smooth_l1" else 0.0
        total = smooth_l1_loss(deltas, targets, beta=beta, reduction="sum")
    count = used.sum() if positions is None else torch.full((), positions, dtype=torch.int64, device=used.device)
    return Term(rule.weight * total, count)
