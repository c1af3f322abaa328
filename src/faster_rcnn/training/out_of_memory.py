"""Parts of a step that a process holds at once, and what a run does where a GPU runs out of memory."""

from __future__ import annotations

import logging

import torch

from faster_rcnn.backbone.norm import learns_norms
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.training.running import Run

_LOG = logging.getLogger(__name__)


def refuse_parts_of_norms(model: FasterRCNN, settings: TrainingConfig) -> None:
    """Raise ``OptionError`` for ``micro_batch`` where the detector trains batch norm, which needs the whole batch."""
    if settings.micro_batch and learns_norms(model):
        raise OptionError(
            f"training.micro_batch={settings.micro_batch}: this detector trains its batch norm on the statistics of "
            "all images of a step, which parts of it do not have; leave it out, or use a preset without trained norms"
        )


def smaller_parts(run: Run, images: int, error: torch.OutOfMemoryError) -> int:
    """Half the number of images that were held at once; the run notes the change.

    Args:
        run: the run.
        images: number of images of this process in the step.
        error: the error of the step.

    Raises:
        MachineError: a single image was held, or images cannot be held in smaller parts: batch norm that is trained
            needs all of them, and other processes wait in the middle of the step.
    """
    held = min(run.micro_batch or images, images)
    half = held // 2
    if run.processes.are_several and half:
        raise MachineError(
            f"out of memory with {held} images at once; in several processes a run cannot change that within a step: "
            f"go on with --resume and --set training.micro_batch={half}"
        ) from error
    if not half or learns_norms(run.model):
        remedy = f"a smaller --batch, which is {run.config.training.batch} now" if half else "a smaller --image-size"
        raise MachineError(f"out of memory with {held} images at once; begin a run with {remedy}") from error
    run.optimizer.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()  # does nothing without a GPU
    change = f"from step {run.progress.step + 1} on: at most {half} images are held at once, instead of {held}"
    run.progress.changes.append(change)
    _LOG.warning("out of memory: %s; their gradients are added, and the result is the same but for last bits", change)
    return half
