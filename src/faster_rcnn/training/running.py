"""A run of training in progress: its parts, and how it is saved and restored."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer

from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.records import Split
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.training import run_folder
from faster_rcnn.training.averaging import AveragedModel
from faster_rcnn.training.gradients import Trained
from faster_rcnn.training.optimizer import load_moments
from faster_rcnn.training.schedule import number_of_epochs
from faster_rcnn.training.state import (
    Progress,
    load_random,
    load_tensors,
    refuse_other_progress,
    refuse_state_of_another_run,
)
from faster_rcnn.weights.model_file import save_model
from faster_rcnn.weights.thresholds import Thresholds

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Run:
    """One training run: its parts and its progress."""

    folder: Path
    config: Config
    classes: ClassMap
    model: FasterRCNN
    trained: Trained
    """The model, as ``in_parallel`` gives it."""
    optimizer: Optimizer
    average: AveragedModel | None
    train: TrainingLoader
    val: Split | None
    precision: torch.dtype
    progress: Progress
    saved_step: int | None = None
    """Number of steps in the state on the disk; ``None`` where there is none."""
    saved_at: float = -math.inf
    """Time at which the last model and the state were written, by ``time.monotonic``."""
    identity: Mapping[str, Any] = field(default_factory=dict)
    """Settings and data of the run, as ``run_identity`` returns them."""
    processes: Processes = ALONE
    """The processes that share the images of each step; the first one alone writes the files of the run."""
    thresholds: Thresholds | None = None
    """Thresholds of scores by class of the last validation."""
    micro_batch: int | None = None
    """Largest number of images of a step that a process holds at once; ``None`` for all of its images."""

    @property
    def epochs(self) -> int:
        """Epochs of the whole run."""
        return number_of_epochs(self.config.training, self.train.steps())

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.train.steps()

    @property
    def product(self) -> FasterRCNN:
        """The model that is validated and saved: the averaged one where averaging is on."""
        return self.average.model if self.average else self.model


def save_last(run: Run) -> None:
    """Write the last model and the state; the first of several processes writes."""
    if not run.processes.is_first:
        return
    save_model(run.folder / run_folder.LAST, run.product, run.config, run.classes, thresholds=run.thresholds)
    save_state(run)
    run.saved_at = time.monotonic()
    _LOG.debug(f"saved {run_folder.LAST} and {run_folder.STATE} after step {run.progress.step}")


def save_state(run: Run) -> None:
    """Save weights, their average, momentum, random state and progress: all that a bit-equal resumed run needs."""
    progress = run.progress
    if not run.processes.is_first:
        return
    run_folder.write_state(
        run.folder,
        {
            "model": run.model.state_dict(),
            "average": run.average.model.state_dict() if run.average else None,
            "optimizer": run.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "progress": progress.to_plain(),
            "run": dict(run.identity),
        },
    )
    run.saved_step = progress.step


def restore_state(run: Run, state: Mapping[str, Any]) -> None:
    """Continue from ``state``, which ``run_folder.read_state`` returned.

    Raises:
        ModelFileError: it is not of this run.
    """
    run.progress = state["progress"]
    with run_folder.naming_state_file(run.folder):
        refuse_state_of_another_run(state.get("run"), run.identity)
        refuse_other_progress(run.progress, run.train.steps(), run.epochs)
        load_tensors("model", run.model, state["model"])
        if run.average:
            load_tensors("average", run.average.model, state["average"])
        load_moments(run.optimizer, state["optimizer"])
        load_random(state["random"])
    run.saved_step = run.progress.step
