"""One run of training: build its parts, train them, write the report."""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.building import build_model
from faster_rcnn.data.loading import TrainingLoader
from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.data.transform import Transform
from faster_rcnn.errors import DivergedError
from faster_rcnn.evaluation.in_detail import details_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Proposals
from faster_rcnn.system.devices import PRECISIONS, choose_device
from faster_rcnn.system.distributed import ALONE, Processes
from faster_rcnn.training import run_folder
from faster_rcnn.training.averaging import AveragedModel
from faster_rcnn.training.callback import Callback, RunEnd, RunStart, notify, notify_of_end
from faster_rcnn.training.display import TrainingDisplay
from faster_rcnn.training.examples import Example, find_examples
from faster_rcnn.training.first_losses import FirstLosses
from faster_rcnn.training.gradients import in_parallel
from faster_rcnn.training.initial_weights import Parts, initialise
from faster_rcnn.training.interruption import stop_signals
from faster_rcnn.training.live_report import LiveReport
from faster_rcnn.training.loop import criterion, run_training
from faster_rcnn.training.optimizer import optimizer_of
from faster_rcnn.training.out_of_memory import refuse_parts_of_norms
from faster_rcnn.training.report import write_report
from faster_rcnn.training.running import Run, restore_state, save_state
from faster_rcnn.training.schedule import (
    highest_learning_rate,
    learning_rate,
    learning_rate_of_batch,
    warm_up_steps,
)
from faster_rcnn.training.score_floor import remark_on_early_end, store_floor
from faster_rcnn.training.state import Progress, run_identity
from faster_rcnn.training.summary import summary_of
from faster_rcnn.training.validation import Validation, Validator, validating_predictor
from faster_rcnn.weights.model_file import LoadedModel, load_model

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One run of training: settings, data, initial weights and folder."""

    data: Path
    """Path of the data as the user gave it."""
    dataset: Dataset
    config: Config
    folder: Path
    named: Path
    """Folder in messages: ``folder``, or its parent, which holds all steps of alternating training."""
    start: LoadedModel | Parts | None = None
    """Detector that the initial weights come from; ``None`` for the weights that the settings name."""
    proposals: Mapping[str, Sequence[Proposals]] = field(default_factory=dict)
    """External proposals by name of the split, in the order of its records; for Fast R-CNN."""
    changes: tuple[str, ...] = ()
    """Changes of precision and threads against those that the run had before it was resumed."""
    callbacks: tuple[Callback, ...] = ()
    """Called beside the command's own display."""
    processes: Processes = ALONE
    """The processes that do this task together."""
    transform: Transform | None = None
    """The user's own augmentation."""


def train_task(task: Task, state: Mapping[str, Any] | None = None) -> Path:
    """Train from the first step, or from where ``state`` was saved; returns the run folder."""
    began = time.perf_counter()
    run = _prepare(task, fresh=state is None)
    with _resumable(run, task):
        if state is not None:
            _take_up(run, task, state)
        if task.processes.is_first:
            run_folder.write_config(run.folder, task.config)
        if state is not None and task.changes:
            save_state(run)  # now, since the settings in the folder are the changed ones already
        return _train(run, task, began)


@contextmanager
def _resumable(run: Run, task: Task) -> Iterator[None]:
    """Where the training within ends early, log the command that resumes it from the last state."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        # From the weights of a run that diverged, the same steps would diverge again.
        if run.saved_step is not None and not isinstance(error, DivergedError):
            command = go_on_with(task.data, task.named, task.transform)
            _LOG.info(f"saved after step {run.saved_step}; go on with: {command}")
            remark_on_early_end(run.config)
        raise
    finally:
        run.train.close()


def _take_up(run: Run, task: Task, state: Mapping[str, Any]) -> None:
    """Continue the run from ``state``; files that were written later are written anew."""
    run.processes.together(lambda: restore_state(run, state))
    if run.processes.is_first:
        run_folder.reopen(run.folder)
        if run.progress.rows:
            run_folder.write_metrics(run.folder, run.progress.rows)
    run.progress.changes += [f"from step {run.progress.step + 1} on: {each}" for each in task.changes]
    where = f"epoch {run.progress.epoch + 1}" if run.progress.epoch < run.epochs else "of the last epoch"
    _LOG.info(f"going on in {run.folder} after step {run.progress.step}, {where}")


def _prepare(task: Task, fresh: bool) -> Run:
    """Build model, optimizer and loader of a run at its first step; everything random follows from the seed."""
    config, dataset, folder = task.config, task.dataset, task.folder
    settings = config.training
    device = choose_device(settings.device, task.processes)
    precision = PRECISIONS[settings.precision]
    torch.manual_seed(settings.seed)
    model = build_model(config, len(dataset.classes))
    begins = initialise(model, config, dataset.classes, task.start) if fresh else None
    if settings.shared_layers == "fixed":
        model.backbone.fix()
    refuse_parts_of_norms(model, settings)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lag
    trained = in_parallel(model, task.processes)
    train = _loader(task, dataset.splits["train"])
    _log_start(task, model, begins)
    lr = learning_rate_of_batch(settings.lr, settings.images_per_step)
    run = Run(
        folder=folder,
        config=config,
        classes=dataset.classes,
        model=model,
        trained=trained,
        optimizer=optimizer_of(model, settings, lr),
        average=AveragedModel(model, settings.ema_decay) if settings.ema_decay else None,
        train=train,
        val=dataset.splits.get("val"),
        precision=precision,
        progress=Progress(),
        identity=task.processes.of_first(lambda: run_identity(config, run_folder.read_data(task.named))),
        processes=task.processes,
        micro_batch=settings.micro_batch or None,
    )
    _log_schedule(run, len(dataset.splits["train"].records))
    _log_plan(run)
    return run


def _log_start(task: Task, model: FasterRCNN, begins: str | None) -> None:
    settings, device = task.config.training, next(model.parameters()).device
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    shared = f" in each of {settings.processes} processes" if settings.processes > 1 else ""
    _LOG.info(
        f"{task.config.preset}: {weights:,} weights to train on {device} in {settings.precision} on "
        f"{settings.threads} threads{shared}; seed {settings.seed}"
    )
    if begins is not None:
        _LOG.info(begins)
    _LOG.info(f"run folder: {task.folder}")


def _log_schedule(run: Run, images: int) -> None:
    """Log the highest learning rate, and why an epoch has more steps than its images divided by the batch."""
    settings, steps = run.config.training, run.train.steps()
    lr = learning_rate_of_batch(settings.lr, settings.images_per_step)
    reached, step = highest_learning_rate(settings, run.steps)
    _LOG.info(
        f"learning rate {lr:g} for batches of {settings.batch} ({settings.lr:g} for 16); its highest is {reached:.3g}, "
        f"in step {step + 1} of {run.steps:,}"
    )
    if steps > -(-images // settings.images_per_step):
        _LOG.info(
            f"{images} images in {steps} steps of up to {settings.batch}: portraits and landscapes do not share a step"
        )


def _log_plan(run: Run) -> None:
    """Log in detail how the run reads its images and how it moves its weights."""
    settings, steps = run.config.training, run.steps
    readers = f"{settings.workers} processes read" if settings.workers else "this process reads"
    _LOG.debug(f"{readers} the images, {run.train.steps()} batches of up to {settings.batch} in each epoch")
    rates = [f"{learning_rate(step, settings, steps):.3g} in step {step + 1}" for step in (0, steps // 2, steps - 1)]
    _LOG.debug(
        f"learning rate: {settings.schedule} schedule, {warm_up_steps(settings, steps)} steps of warm-up; "
        f"{', '.join(rates)}"
    )
    optimizer = type(run.optimizer).__name__
    average = f"weights are averaged with decay {settings.ema_decay:g}" if run.average else "weights are not averaged"
    _LOG.debug(
        f"{optimizer} with momentum {settings.momentum:g} and weight decay {settings.weight_decay:g}; gradients are "
        f"clipped to norm {settings.clip_norm:g}; {average}"
    )
    measured = "no validation" if run.val is None else f"validation of {len(run.val.records)} images after each epoch"
    _LOG.debug(f"{measured}; the best epoch is the one with the highest {criterion(run.config)}")


def _loader(task: Task, split: Split) -> TrainingLoader:
    config = task.config
    proposals = task.proposals.get(split.name)
    return TrainingLoader(split, config.image, config.training, config.data, proposals, task.processes, task.transform)


def _train(run: Run, task: Task, began: float) -> Path:
    chosen_by = criterion(run.config)
    callbacks: tuple[Callback, ...] = ()
    measured: dict[int, Validation] = {}
    if task.processes.is_first:
        display = TrainingDisplay(("AP", "AP50") if chosen_by == "AP" else (chosen_by,))
        callbacks = (display, LiveReport(run, task.data, measured, began), *task.callbacks)
        if run.saved_step is None:  # a state may be one of weights that were trained
            callbacks = (FirstLosses(len(run.classes), task.start), *callbacks)
    validator = None
    if run.val is not None:
        proposals = task.proposals.get(run.val.name)
        validator = Validator(run.val, run.config, run.classes, proposals, run.precision, run.processes)

    def validate(model: FasterRCNN, image_done: Callable[[], None]) -> Mapping[str, float | None]:
        assert validator is not None
        validation = validator.validate(model, image_done)
        run.thresholds = validation.thresholds
        for epoch in measured.keys() - {run.progress.best_epoch}:
            del measured[epoch]
        measured[run.progress.epoch] = validation
        return validation.columns()

    examples: list[Example] = []
    with _early_end_reported(run, callbacks):
        with stop_signals() as stop:
            notify(callbacks, RunStart(run.folder, run.config, run.epochs, run.steps, run.progress.step))
            reason = run_training(run, validate, callbacks, stop)
        if task.processes.is_first:
            examples = _finish(run, task, reason, measured, time.perf_counter() - began)
    notify_of_end(callbacks, _end(run, reason, None, examples))
    return run.folder


@contextmanager
def _early_end_reported(run: Run, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Call ``on_run_end`` with the error that ends the work within."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        notify_of_end(callbacks, _end(run, reason, error))
        raise


def _end(run: Run, reason: str, error: BaseException | None, examples: Sequence[Example] = ()) -> RunEnd:
    best = run.folder / run_folder.BEST if run.progress.rows else None
    return RunEnd(run.folder, run.progress.step, best, reason, error, {each.name: each.picture for each in examples})


def go_on_with(data: Path, folder: Path, transform: Transform | None = None) -> str:
    """The command that resumes an interrupted run; a function of Python has no name on a command line."""
    named = ["--transform", transform.name] if transform is not None and transform.reload else []
    return shlex.join(["faster-rcnn", "train", str(data), "--out", str(folder), *named, "--resume"])


def _finish(run: Run, task: Task, reason: str, measured: Mapping[int, Validation], seconds: float) -> list[Example]:
    """Write the report, and the summary, which marks the run as finished; returns the pictures of the report."""
    chosen_by = criterion(run.config)
    summary = summary_of(run, task.data, reason, seconds)
    value = summary["best"].get(chosen_by)
    best = "" if value is None else f", {chosen_by} {value:.3f}"
    _LOG.info(f"{reason}; the best model is of epoch {summary['best']['epoch']}{best}: {run.folder / run_folder.BEST}")
    store_floor(run.folder, run.config, run.val, next(run.model.parameters()).device, run.precision)
    # The best epoch was not measured here if it came before an interruption.
    examples = _report(run, task, summary, measured.get(run.progress.best_epoch))
    run_folder.write_summary(run.folder, summary)
    return examples


def _report(run: Run, task: Task, summary: Mapping[str, Any], measured: Validation | None) -> list[Example]:
    examples: list[Example] = []
    metrics = None if measured is None else measured.metrics
    if measured is not None and metrics is not None and measured.boxes is not None and run.val is not None:
        metrics = replace(metrics, details=details_of(measured.boxes, run.val.classes))
    if run.val:
        best = load_model(run.folder / run_folder.BEST)
        device = next(run.model.parameters()).device
        proposals = task.proposals.get(run.val.name)
        examples = find_examples(validating_predictor(best, device, run.precision, run.val, proposals), run.val)
    _LOG.info(f"report: {write_report(run.folder, summary, run.progress.rows, run.config, metrics, examples)}")
    return examples
