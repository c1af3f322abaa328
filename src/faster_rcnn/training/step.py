"""One step of training: four losses, their gradient, and a small move of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from faster_rcnn.data.loading import TrainingImage
from faster_rcnn.errors import DivergedError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import GroundTruth, Losses, Proposals
from faster_rcnn.system.devices import computing_in


def training_step(
    model: FasterRCNN,
    optimizer: Optimizer,
    images: Sequence[Tensor],
    truths: Sequence[GroundTruth],
    seeds: Sequence[int],
    proposals: Sequence[Proposals] | None = None,
    *,
    lr: float,
    clip_norm: float,
    precision: torch.dtype,
    max_loss: float = math.inf,
) -> Losses:
    """Train on one batch of resized images and return its losses, cut off from the gradient.

    ``proposals`` from outside, in the frame of the images, are for the second stage instead of the first one's.

    Raises:
        DivergedError: a loss or the gradient is not finite, or the sum of the losses exceeds ``max_loss``; the weights
            are as before the step.
    """
    device = next(model.parameters()).device
    with computing_in(precision, device):
        losses: Losses = model(
            [image.to(device, non_blocking=True) for image in images],
            [truth.to(device) for truth in truths],
            seeds,
            proposals,
        )
    optimizer.zero_grad(set_to_none=True)
    losses.total.backward()
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(trained, clip_norm)
    # The one place where a GPU is waited for: without it a run would go on with broken weights.
    length, total = torch.stack((norm, losses.total.detach())).tolist()
    if not math.isfinite(length):
        raise DivergedError(_what_diverged(losses), code="E128")
    if total > max_loss:
        raise DivergedError(
            f"the loss became {total:.4g}, above {max_loss:.4g}, a thousand times that of the first steps", code="E128"
        )
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    return losses.detach()


def _what_diverged(losses: Losses) -> str:
    values = {name: value.item() for name, value in losses.named().items()}
    broken = [f"{name} became {value}" for name, value in values.items() if not math.isfinite(value)]
    return " and ".join(broken) or "the gradient is not finite although all four losses are"


def proposals_of(batch: Sequence[TrainingImage], device: torch.device) -> list[Proposals] | None:
    """The external proposals that the images of a batch come with; ``None`` where the detector makes its own."""
    given = [one.proposals.to(device) for one in batch if one.proposals is not None]
    return given or None
