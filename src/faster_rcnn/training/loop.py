"""The training loop, from the first step of a run to the last.

Approximate joint training (section 3.2): one step trains both stages, and the proposals between them are constants.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.optim import SGD

from faster_rcnn.data.loading import TrainingImage, TrainingLoader
from faster_rcnn.data.records import Split
from faster_rcnn.errors import DivergedError, FasterRCNNError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.system.signals import Signalled
from faster_rcnn.training import callback, run_folder
from faster_rcnn.training.averaging import AveragedModel
from faster_rcnn.training.divergence import FIRST_STEPS, explained, max_loss
from faster_rcnn.training.schedule import learning_rate, number_of_epochs
from faster_rcnn.training.state import (
    Progress,
    load_momentum,
    load_random,
    load_tensors,
    refuse_other_progress,
    refuse_state_of_another_run,
)
from faster_rcnn.training.step import batch_of, training_step
from faster_rcnn.weights.model_file import save_model

Validate = Callable[[FasterRCNN, Callable[[], None]], Mapping[str, float | None]]
"""Numbers of a detector on the validation split, among them ``AP``; calls the function after each image.

The loop takes it as an argument, so that it needs no inference and no evaluation.
"""


@dataclass(slots=True, eq=False)
class Run:
    """One training run: its parts and its progress."""

    folder: Path
    config: Config
    classes: ClassMap
    model: FasterRCNN
    optimizer: SGD
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


_LOG = logging.getLogger(__name__)

SECONDS_BETWEEN_STATES = 30.0
"""Time between two states, each some hundred megabytes: on a small data set, writing one after every epoch would
take as long as the training."""


class Interrupted(Signalled):
    """A signal ended the run between two steps, after its state was saved."""


def run_training(run: Run, validate: Validate, callbacks: Sequence[callback.Callback], stop: Callable[[], int]) -> str:
    """Train until the last epoch or until validation stops improving; returns why it ended.

    After every epoch the folder holds the best model and one more line of metrics; the last model and the state are
    at most ``SECONDS_BETWEEN_STATES`` and an epoch old.

    Raises:
        DivergedError: a loss or gradient stopped being finite; the state before that step is saved.
        FasterRCNNError: no more images can be read; the state is saved.
        Interrupted: ``stop`` gave the number of a signal; the state is saved in the middle of the epoch.
        Exception: a callback raised it; the state is saved.
    """
    settings, progress = run.config.training, run.progress
    keep_freed_memory()
    while progress.epoch < run.epochs:
        epoch = progress.epoch + 1
        _notify(run, callbacks, callback.EpochStart(epoch, run.epochs, run.train.steps(), progress.steps_of_epoch))
        _train_epoch(run, callbacks, stop)
        row = _epoch_line(run)
        if run.val is not None:
            row |= _validate_epoch(run, run.val, validate, callbacks, stop)
        value = row.get(criterion(run.config))
        best = value is None or value > progress.best_value
        if best:
            progress.best_value = -1.0 if value is None else value
            progress.best_epoch = progress.epoch
        progress.rows.append(row)
        progress.epoch, progress.steps_of_epoch, progress.sums = progress.epoch + 1, 0, {}
        _save_epoch(run, best)
        best_model = run.folder / run_folder.BEST
        _notify(run, callbacks, callback.EpochEnd(epoch, run.epochs, progress.step, row, best, best_model))
        if run.val is not None and settings.patience and progress.epoch - 1 - progress.best_epoch >= settings.patience:
            _save_last(run)
            return f"no better {criterion(run.config)} for {settings.patience} epochs"
    return "all epochs are done"


def _notify(run: Run, callbacks: Sequence[callback.Callback], event: callback.Event) -> None:
    """Call the callbacks; where one of them fails, the run is saved before."""
    try:
        callback.notify(callbacks, event)
    except Exception:
        _save_last(run)
        raise


def criterion(config: Config) -> str:
    """The validation number by which the best epoch is chosen.

    A first stage alone is chosen by its recall with 100 proposals: it must miss nothing, whatever it ranks first.
    """
    return "AR100" if config.detector.kind == "rpn" else "AP"


def _train_epoch(run: Run, callbacks: Sequence[callback.Callback], stop: Callable[[], int]) -> None:
    settings, progress = run.config.training, run.progress
    steps = run.steps
    run.model.train()
    start = time.perf_counter()
    for batch in _saving(run, run.train.epoch(progress.epoch, progress.steps_of_epoch)):
        lr = learning_rate(progress.step, settings, steps)
        try:
            losses = training_step(
                run.model,
                run.optimizer,
                batch_of(batch),
                lr=lr,
                clip_norm=settings.clip_norm,
                precision=run.precision,
                max_loss=max_loss(progress.first_losses),
            )
        except DivergedError as error:
            save_state(run)
            ids = [one.image_id for one in batch]
            raise explained(error, run.config, progress.step, ids, lr, run.folder / run_folder.STATE) from error
        if len(progress.first_losses) < FIRST_STEPS:
            progress.first_losses.append(losses.total)
        if run.average:
            run.average.update(run.model, progress.step)
        for name, value in losses.named.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + value
        progress.step += 1
        progress.steps_of_epoch += 1
        progress.images += len(batch)
        epoch, step = progress.epoch + 1, progress.step
        _notify(run, callbacks, callback.StepEnd(epoch, step, losses.named, losses.total, lr, len(batch)))
        progress.training_seconds += time.perf_counter() - start
        start = time.perf_counter()
        _end_if_stopped(run, stop)
    progress.training_seconds += time.perf_counter() - start


def _saving(run: Run, batches: Iterator[list[TrainingImage]]) -> Iterator[list[TrainingImage]]:
    """Yield the same batches; where reading them fails, as when memory is short, the run is saved before."""
    try:
        yield from batches
    except FasterRCNNError:
        _save_last(run)
        raise


def _epoch_line(run: Run) -> dict[str, Any]:
    """The columns of training in the line of ``metrics.csv``."""
    progress = run.progress
    row: dict[str, Any] = {
        "epoch": progress.epoch + 1,
        "step": progress.step,
        "lr": learning_rate(progress.step - 1, run.config.training, run.steps),
        "training_seconds": round(progress.training_seconds, 3),
    }
    return row | {f"train_{name}": value / progress.steps_of_epoch for name, value in progress.sums.items()}


def _validate_epoch(
    run: Run, split: Split, validate: Validate, callbacks: Sequence[callback.Callback], stop: Callable[[], int]
) -> Mapping[str, float | None]:
    """Measure the split; a signal ends that after the current image, and a resumed run measures it anew."""
    epoch, done = run.progress.epoch + 1, 0

    def image_done() -> None:
        nonlocal done
        done += 1
        _notify(run, callbacks, callback.ValidationStep(epoch, done))
        _end_if_stopped(run, stop)

    start = time.perf_counter()
    _notify(run, callbacks, callback.ValidationStart(epoch, len(split.records)))
    try:
        found = validate(run.product, image_done)
    finally:
        run.progress.validation_seconds += time.perf_counter() - start
    _notify(run, callbacks, callback.ValidationEnd(epoch, found))
    return found


def _end_if_stopped(run: Run, stop: Callable[[], int]) -> None:
    if stop():
        _save_last(run)
        raise Interrupted(stop())


def _save_epoch(run: Run, best: bool) -> None:
    """Write the metrics and a better model at once, and at intervals the last model and the state."""
    run_folder.write_metrics(run.folder, run.progress.rows)
    if best:
        save_model(run.folder / run_folder.BEST, run.product, run.config, run.classes)
        _LOG.debug(f"saved {run_folder.BEST}: epoch {run.progress.epoch} is the best so far by {criterion(run.config)}")
    age = time.monotonic() - run.saved_at
    if run.progress.epoch == run.epochs or age >= SECONDS_BETWEEN_STATES:
        _save_last(run)
    else:
        _LOG.debug(
            f"{run_folder.LAST} and {run_folder.STATE} stay those of step {run.saved_step}: they are {age:.0f} s old, "
            f"and are written every {SECONDS_BETWEEN_STATES:.0f} s"
        )


def _save_last(run: Run) -> None:
    save_model(run.folder / run_folder.LAST, run.product, run.config, run.classes)
    save_state(run)
    run.saved_at = time.monotonic()
    _LOG.debug(f"saved {run_folder.LAST} and {run_folder.STATE} after step {run.progress.step}")


def save_state(run: Run) -> None:
    """Save weights, their average, momentum, random state and progress: all that a bit-equal resumed run needs."""
    progress = run.progress
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
        load_momentum(run.optimizer, state["optimizer"])
        load_random(state["random"])
    run.saved_step = run.progress.step
