"""The terms of Eq. 1, each divided by the number of sampled references of the whole batch.

Losses are float32. ``used`` marks the places of a sample that were filled; the others weigh nothing. The normaliser
is torchvision's: the number of sampled references (anchors or regions), positive and negative, of all images
together, for the class and the box term alike. The paper divides the box term by the number of positions and
multiplies by lambda, which comes to about the same; Detectron2 divides by the configured sample size.
"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, smooth_l1_loss


def objectness_loss(
    logits: Float[Tensor, "sampled outputs"], positive: Bool[Tensor, " sampled"], used: Bool[Tensor, " sampled"]
) -> Float[Tensor, ""]:
    """Log loss of object against no object, from one logit per reference or from two (no object, object)."""
    if logits.shape[1] == 2:
        terms = cross_entropy(logits.float(), positive.long(), reduction="none")
    else:
        terms = binary_cross_entropy_with_logits(logits[:, 0].float(), positive.float(), reduction="none")
    return (terms * used).sum() / used.sum().clamp(min=1)


def class_loss(
    logits: Float[Tensor, "sampled classes"], labels: Int[Tensor, " sampled"], used: Bool[Tensor, " sampled"]
) -> Float[Tensor, ""]:
    """Log loss of the true class among all classes and background."""
    terms = cross_entropy(logits.float(), labels, reduction="none")
    return (terms * used).sum() / used.sum().clamp(min=1)


def box_loss(
    deltas: Float[Tensor, "sampled 4"],
    targets: Float[Tensor, "sampled 4"],
    positive: Bool[Tensor, " sampled"],
    used: Bool[Tensor, " sampled"],
    beta: float,
) -> Float[Tensor, ""]:
    """Smooth L1 between predicted and true deltas of the positives (Fast R-CNN, Eq. 3), summed over the four."""
    weight = (positive & used)[:, None]
    # Masked before the loss: a target that means nothing may be infinite, and 0 x infinity is not a number.
    terms = smooth_l1_loss(
        deltas.float().masked_fill(~weight, 0), targets.masked_fill(~weight, 0), beta=beta, reduction="sum"
    )
    return terms / used.sum().clamp(min=1)
