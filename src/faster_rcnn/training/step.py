"""One step of training: four losses, their gradient, and a small move of the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch.optim import Optimizer

from faster_rcnn.backbone.norm import norms
from faster_rcnn.data.training_image import TrainingImage
from faster_rcnn.errors import DivergedError
from faster_rcnn.structures import TrainingBatch
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.training.gradients import Trained, add_gradients


@dataclass(frozen=True, slots=True)
class StepLosses:
    """The losses of one step as numbers on the host."""

    named: Mapping[str, float]
    """Weighted losses by name, in the order of the stages."""
    total: float
    """Their sum in float32."""


def training_step(
    model: Trained,
    optimizer: Optimizer,
    batch: TrainingBatch,
    *,
    lr: float,
    clip_norm: float,
    precision: torch.dtype,
    max_loss: float = math.inf,
    micro_batch: int | None = None,
    processes: Processes = ALONE,
) -> StepLosses:
    """Train on one batch of resized images and return its losses.

    Args:
        model: the detector, as ``in_parallel`` gives it where there are several processes.
        optimizer: moves its weights.
        batch: this process's images of the step.
        lr: learning rate of the step.
        clip_norm: largest norm of the gradient.
        precision: type of convolutions and matrix products.
        max_loss: a larger sum of the losses counts as divergence.
        micro_batch: largest number of images that are held at once; ``None`` for the whole batch.
        processes: the processes that share the images of the step.

    Raises:
        DivergedError: a loss or the gradient is not finite, or the sum of the losses exceeds ``max_loss``; the weights
            and the statistics of norms are as before the step.
        LostProcessError: another process ended.
    """
    optimizer.zero_grad(set_to_none=True)
    batch = batch.to(next(model.parameters()).device)
    before = [(each, each.clone()) for norm in norms(model) if norm.training for each in norm.buffers()]
    names, losses = add_gradients(model, batch, precision, micro_batch=micro_batch, processes=processes)
    trained = [parameter for parameter in model.parameters() if parameter.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(trained, clip_norm)
    # The backward pass and the update wait for a GPU here alone: one transfer holds every number that the divergence
    # check, the sums of the epoch and the callbacks need.
    length, total, *values = torch.cat([torch.stack([norm, losses.sum()]), losses]).tolist()
    found = StepLosses(dict(zip(names, values, strict=True)), total)
    try:
        _refuse_divergence(found, length, max_loss)
    except DivergedError:
        for statistics, value in before:
            statistics.copy_(value)
        raise
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    return found


def _refuse_divergence(losses: StepLosses, gradient_norm: float, max_loss: float) -> None:
    if not math.isfinite(gradient_norm):
        broken = [f"{name} became {value}" for name, value in losses.named.items() if not math.isfinite(value)]
        what = " and ".join(broken) or "the gradient is not finite although all four losses are"
        raise DivergedError(what, code="E128")
    if losses.total > max_loss:
        raise DivergedError(
            f"the loss became {losses.total:.4g}, above {max_loss:.4g}, a thousand times that of the first steps",
            code="E128",
        )


def batch_of(images: Sequence[TrainingImage]) -> TrainingBatch:
    """The images of a step as one batch; with external proposals where the images come with some."""
    proposals = tuple(one.proposals for one in images if one.proposals is not None)
    return TrainingBatch(
        tuple(one.pixels for one in images),
        tuple(one.truth for one in images),
        tuple(one.seed for one in images),
        proposals or None,
        images[0].canvas if images else None,
    )
