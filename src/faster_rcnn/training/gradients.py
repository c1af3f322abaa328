"""The gradient of one step: over a batch at once, over its parts, and over the parts of several processes.

The losses of a step are sums over all of its images, divided by numbers that belong to the whole step. So each part
first needs these numbers, and then adds its gradient; the sum is that of the whole batch.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from faster_rcnn.losses import Losses
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals, TrainingBatch
from faster_rcnn.system.devices import computing_in
from faster_rcnn.system.distributed import ALONE, Processes, lost_process_as_error
from faster_rcnn.training.shared_norms import share_norms

Trained = FasterRCNN | DistributedDataParallel
"""A detector, or its wrapper that adds the gradients of several processes (``in_parallel``)."""

BLANK = ImageSize(64, 64)
"""Size of the image that stands in where a process has none."""


def in_parallel(model: FasterRCNN, processes: Processes) -> Trained:
    """The detector, wrapped where several processes train it; all of them begin with the first one's weights.

    The order in which gradients are added is fixed, so that a resumed run ends as it would have: torch would change it
    after the first step unless it searches for unused weights. There are some: a level of the pyramid may hold no
    sampled anchor and no region.
    """
    if not processes.are_several:
        return model
    share_norms(model, processes)
    with warnings.catch_warnings():
        # torch 2.14 renames the argument. Buffers need no exchange: no process changes one by itself.
        warnings.filterwarnings("ignore", ".*broadcast_buffers", FutureWarning)
        return DistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=True)


def add_gradients(
    model: Trained,
    batch: TrainingBatch,
    precision: torch.dtype,
    *,
    micro_batch: int | None = None,
    processes: Processes = ALONE,
) -> tuple[tuple[str, ...], Float[Tensor, " terms"]]:
    """Add the gradient of a step to that of the weights; returns the names of the losses of the step, and the losses.

    Args:
        model: the detector.
        batch: this process's images of the step, on the device of the detector; it may have none.
        precision: type of convolutions and matrix products.
        micro_batch: largest number of images that are held at once; with more images in the batch, each part is run
            forwards twice, first for the numbers that the losses are divided by.
        processes: the processes that share the images of the step.
    """
    parts = batch.parts(micro_batch)
    counts = None if len(parts) == 1 else processes.added(_counts(model, parts, precision))
    names: tuple[str, ...] = ()
    total: Float[Tensor, " terms"] | None = None
    for number, part in enumerate(parts, 1):
        with _exchanging(model, number == len(parts)):
            losses = _losses(model, part, precision)
            if counts is None:
                counts = processes.added(losses.counts)
            losses = losses.over(counts)
            # The wrapper takes the mean over the processes, whose losses are parts of a sum.
            whole = losses.total * processes.count if processes.are_several else losses.total
            with lost_process_as_error():
                whole.backward()
        named = losses.named()
        values = torch.stack(list(named.values())).detach()
        names, total = tuple(named), values if total is None else total + values
    assert total is not None
    return names, processes.added(total)


def _losses(model: Trained, part: TrainingBatch, precision: torch.dtype) -> Losses:
    """The losses of some images; without any, those of a blank image, which count nothing.

    The exchange of gradients needs a pass in every process.
    """
    device, counts = next(model.parameters()).device, True
    if not part.images:
        detector = model.module if isinstance(model, DistributedDataParallel) else model
        part, counts = _blank(detector.rpn is None).to(device), False
    with computing_in(precision, device):
        losses: Losses = model(part)
    return losses if counts else losses.silenced()


def _counts(model: Trained, parts: list[TrainingBatch], precision: torch.dtype) -> Int[Tensor, " terms"]:
    """The numbers that the losses of all parts together are divided by."""
    detector = model.module if isinstance(model, DistributedDataParallel) else model
    with torch.no_grad():
        return torch.stack([_losses(detector, part, precision).counts for part in parts]).sum(dim=0)


def _blank(external: bool) -> TrainingBatch:
    """A black image without objects, and without a proposal where proposals are external."""
    nothing = torch.zeros(0, 4)
    truth = GroundTruth(nothing, torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))
    proposals = (Proposals(nothing, torch.zeros(0)),) if external else None
    return TrainingBatch((torch.zeros(3, *BLANK, dtype=torch.uint8),), (truth,), (0,), proposals)


def _exchanging(model: Trained, last: bool) -> AbstractContextManager[None]:
    """A context in which the gradients of the processes are added after the last part alone."""
    if isinstance(model, DistributedDataParallel) and not last:
        return model.no_sync()
    return nullcontext()
