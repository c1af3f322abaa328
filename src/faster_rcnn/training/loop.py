"""The training loop, from the first step of a run to the last.

Approximate joint training (section 3.2): one step trains both stages, and the proposals between them are constants.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.data.batches import DROPOUT, image_seed
from faster_rcnn.data.loading import StepImages
from faster_rcnn.data.records import Split
from faster_rcnn.errors import DivergedError, FasterRCNNError, MachineError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.system.signals import Signalled
from faster_rcnn.training import callback, run_folder
from faster_rcnn.training.bundle import write_bundle
from faster_rcnn.training.divergence import FIRST_STEPS, explained, max_loss
from faster_rcnn.training.out_of_memory import smaller_parts
from faster_rcnn.training.running import Run, save_last, save_state
from faster_rcnn.training.schedule import learning_rate
from faster_rcnn.training.step import StepLosses, batch_of, training_step
from faster_rcnn.weights.model_file import save_model

Validate = Callable[[FasterRCNN, Callable[[], None]], Mapping[str, float | None]]
"""Numbers of a detector on the validation split, among them ``AP``; calls the function after each image.

The loop takes it as an argument, so that it needs no inference and no evaluation.
"""


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
            save_last(run)
            return f"no better {criterion(run.config)} for {settings.patience} epochs"
    return "all epochs are done"


def _notify(run: Run, callbacks: Sequence[callback.Callback], event: callback.Event) -> None:
    """Call the callbacks; where one of them fails, the run is saved before."""
    try:
        callback.notify(callbacks, event)
    except Exception:
        save_last(run)
        raise


def criterion(config: Config) -> str:
    """The validation number by which the best epoch is chosen.

    A first stage alone is chosen by its recall with 100 proposals: it must miss nothing, whatever it ranks first.
    """
    return "AR100" if config.detector.kind == "rpn" else "AP"


def _train_epoch(run: Run, callbacks: Sequence[callback.Callback], stop: Callable[[], int]) -> None:
    progress = run.progress
    steps = run.steps
    run.model.train()
    start = time.perf_counter()
    for images in _saving(run, run.train.epoch(progress.epoch, progress.steps_of_epoch)):
        lr = learning_rate(progress.step, run.config.training, steps)
        if run.processes.are_several:  # the state of the random numbers is saved for the first process alone
            seed = run.config.training.seed
            torch.manual_seed(image_seed(seed, progress.step, run.processes.rank, DROPOUT))
        random = torch.get_rng_state()
        try:
            losses = _step(run, images, lr)
        except DivergedError as error:
            save_state(run)
            raise _diverged(run, images, lr, random, error) from error
        if len(progress.first_losses) < FIRST_STEPS:
            progress.first_losses.append(losses.total)
        if run.average:
            run.average.update(run.model, progress.step)
        for name, value in losses.named.items():
            progress.sums[name] = progress.sums.get(name, 0.0) + value
        progress.step += 1
        progress.steps_of_epoch += 1
        progress.images += len(images.ids)
        epoch, step = progress.epoch + 1, progress.step
        _notify(run, callbacks, callback.StepEnd(epoch, step, losses.named, losses.total, lr, len(images.ids)))
        progress.training_seconds += time.perf_counter() - start
        start = time.perf_counter()
        _end_if_stopped(run, stop)
    progress.training_seconds += time.perf_counter() - start


def _diverged(run: Run, images: StepImages, lr: float, random: Tensor, error: DivergedError) -> DivergedError:
    """The error of a diverged step, after its bundle is written; a disk that is full costs the bundle alone."""
    bundle = bad = None
    if run.processes.is_first:
        try:
            bundle, bad = write_bundle(run, images, lr, random, error.text)
        except (MachineError, torch.OutOfMemoryError) as fault:
            _LOG.warning(f"what went into the step is not kept: {fault}")
    state = run.folder / run_folder.STATE
    return explained(error, run.config, run.progress.step, images.ids, lr, state, bundle, bad)


def _step(run: Run, images: StepImages, lr: float) -> StepLosses:
    """Make one step; where a GPU runs out of memory, it holds fewer images at once from then on."""
    batch = batch_of(images.own)
    while True:
        try:
            return training_step(
                run.trained,
                run.optimizer,
                batch,
                lr=lr,
                clip_norm=run.config.training.clip_norm,
                precision=run.precision,
                max_loss=max_loss(run.progress.first_losses),
                micro_batch=run.micro_batch,
                processes=run.processes,
            )
        except torch.OutOfMemoryError as error:
            run.micro_batch = smaller_parts(run, len(batch.images), error)


def _saving(run: Run, batches: Iterator[StepImages]) -> Iterator[StepImages]:
    """Yield the same batches; where reading them fails, as when memory is short, the run is saved before."""
    try:
        yield from batches
    except FasterRCNNError:
        save_last(run)
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
        done = min(done + run.processes.count, len(split.records))  # the other processes are about as far
        _notify(run, callbacks, callback.ValidationStep(epoch, done))
        if stop():
            raise Interrupted(stop())

    start = time.perf_counter()
    _notify(run, callbacks, callback.ValidationStart(epoch, len(split.records)))
    try:
        found = validate(run.product, image_done)
    except Signalled as signalled:
        raise _saved(run, signalled.signal) from signalled
    finally:
        run.progress.validation_seconds += time.perf_counter() - start
    _notify(run, callbacks, callback.ValidationEnd(epoch, found))
    return found


def _end_if_stopped(run: Run, stop: Callable[[], int]) -> None:
    [number] = run.processes.largest(stop())
    if number:
        raise _saved(run, number)


def _saved(run: Run, number: int) -> Interrupted:
    """Save a run that a signal ends; no process leaves before, since a launcher would then end the others."""
    save_last(run)
    run.processes.from_first(None)
    return Interrupted(number)


def _save_epoch(run: Run, best: bool) -> None:
    """Write the metrics and a better model at once, and at intervals the last model and the state."""
    if not run.processes.is_first:
        return
    run_folder.write_metrics(run.folder, run.progress.rows)
    if best:
        save_model(run.folder / run_folder.BEST, run.product, run.config, run.classes, thresholds=run.thresholds)
        _LOG.debug(f"saved {run_folder.BEST}: epoch {run.progress.epoch} is the best so far by {criterion(run.config)}")
    age = time.monotonic() - run.saved_at
    if run.progress.epoch == run.epochs or age >= SECONDS_BETWEEN_STATES:
        save_last(run)
    else:
        _LOG.debug(
            f"{run_folder.LAST} and {run_folder.STATE} stay those of step {run.saved_step}: they are {age:.0f} s old, "
            f"and are written every {SECONDS_BETWEEN_STATES:.0f} s"
        )
