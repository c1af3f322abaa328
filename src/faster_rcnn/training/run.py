"""``faster-rcnn train``: labelled images in, a run folder with the best and the last model out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from faster_rcnn.data.batches import steps_of_epoch
from faster_rcnn.data.fingerprint import fingerprint_of
from faster_rcnn.data.records import Dataset
from faster_rcnn.data.workers import refuse_in_starting_process
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.external_proposals import training_proposals
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import resolved
from faster_rcnn.settings.schema import Config, TrainingConfig
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.devices import using_threads
from faster_rcnn.system.locking import only_writer
from faster_rcnn.training import run_folder
from faster_rcnn.training.alternating import train_alternating
from faster_rcnn.training.callback import Callback
from faster_rcnn.training.labelled import load_for_training, with_val_seed
from faster_rcnn.training.machine_settings import machine_changes, with_machine_settings, with_training
from faster_rcnn.training.resume import (
    config_to_go_on,
    folder_to_resume,
    refuse_lost_best,
    refuse_no_more_epochs,
    refuse_other_data,
    stored_config,
)
from faster_rcnn.training.schedule import MAX_EPOCHS, MIN_EPOCHS, MIN_STEPS, learning_rate, number_of_epochs
from faster_rcnn.training.session import Task, train_task
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.resolve import resolve_model

_LOG = logging.getLogger(__name__)


def train(data: Path, options: TrainOptions, callbacks: Sequence[Callback] = ()) -> Path:
    """Train a detector on the images of ``data`` and return the run folder.

    Raises:
        DatasetError: the data cannot be used.
        OptionError: an option makes no sense, or differs from those of the run that goes on.
        DivergedError: the loss or its gradient stopped being finite.
    """
    refuse_in_starting_process()
    out = None if options.out is None else Path(options.out)
    if options.resume:
        folder = folder_to_resume(out, data)
        with only_writer(folder):
            return _go_on(data, folder, config_to_go_on(folder, options), callbacks)
    start = resolve_model(str(options.weights)) if options.weights else None
    config = with_val_seed(_with_external_proposals(resolved(options, _settings_of(start))))
    _refuse_alternating_with_one_stage(config)
    folder = run_folder.new_run_folder(out, data)
    with run_folder.kept_if_used(folder):
        dataset = load_for_training(data, config)
        config = with_machine_settings(_with_epochs(config, dataset))
        run_folder.write_data(folder, data, fingerprint_of(dataset))
        return _train(Task(data, dataset, config, folder, folder, start, callbacks=tuple(callbacks)))


def _go_on(data: Path, folder: Path, config: Config, callbacks: Sequence[Callback]) -> Path:
    """Continue the training from the state in ``folder``."""
    state = run_folder.read_state(folder)
    if state:
        refuse_lost_best(folder, state)
    done = state["progress"].epoch if state else 0
    epochs = config.training.epochs
    assert epochs != "auto"  # the run has stored a number
    dataset = load_for_training(data, config)
    refuse_other_data(folder, data, dataset)  # before the check of the epochs, whose remedy names these data
    refuse_no_more_epochs(folder, data, epochs, done)
    before = stored_config(folder).training
    config = _with_known_machine(folder, config)
    changes = machine_changes(before, config.training)
    if changes:
        _LOG.info(f"going on with {', '.join(changes)}: the run notes it, and does not end as it would have")
    if state and config.training.epochs != before.epochs:
        _log_extension(before, config.training, _steps(config, dataset), state["progress"].step)
    return _train(Task(data, dataset, config, folder, folder, changes=changes, callbacks=tuple(callbacks)), state)


def _train(task: Task, state: Mapping[str, Any] | None = None) -> Path:
    threads = task.config.training.threads
    assert threads != "auto"  # a run begins with a number
    with using_threads(threads):
        if task.config.training.scheme == "alternating":
            return train_alternating(task)
        return train_task(replace(task, proposals=training_proposals(task.dataset, task.config, task.folder)), state)


def _with_known_machine(folder: Path, config: Config) -> Config:
    """The configuration of a resumed run; a run without recorded precision and threads gets this machine's."""
    known = with_machine_settings(config)
    if known != config:
        training = known.training
        _LOG.warning(
            f"{folder} does not say in which precision it began and on how many threads; it goes on in "
            f"{training.precision} on {training.threads}"
        )
    return known


def _log_extension(before: TrainingConfig, now: TrainingConfig, steps_of_epoch: int, step: int) -> None:
    """Log the change of the learning rate of a run that is resumed with another number of epochs."""
    old, new = (number_of_epochs(each, steps_of_epoch) for each in (before, now))
    rates = [learning_rate(step, each, count * steps_of_epoch) for each, count in ((before, old), (now, new))]
    _LOG.info(
        f"{new} epochs instead of {old}: from step {step + 1} on the learning rate follows the schedule of {new} "
        f"epochs ({new * steps_of_epoch:,} steps), {rates[1]:.3g} instead of {rates[0]:.3g}"
    )


def _with_external_proposals(config: Config) -> Config:
    """The configuration of a Fast R-CNN where external proposals are given."""
    if config.data.proposals is None or config.detector.kind == "fast-rcnn":
        return config
    if config.detector.kind == "rpn":
        raise OptionError("--proposals: with detector.kind=rpn proposals are what is learnt, and none can be given")
    _LOG.info("--proposals: the second stage is trained alone (detector.kind=fast-rcnn)")
    return config.model_copy(update={"detector": config.detector.model_copy(update={"kind": "fast-rcnn"})})


def _with_epochs(config: Config, dataset: Dataset) -> Config:
    """The configuration with the number of epochs that ``auto`` means for these images, which is stated."""
    settings = config.training
    if settings.epochs != "auto":
        return config
    steps = _steps(config, dataset)
    epochs = number_of_epochs(settings, steps)
    _LOG.info(
        f"epochs auto: {epochs} epochs of {steps} steps, {epochs * steps:,} steps in all (at least {MIN_EPOCHS} epochs "
        f"and {MIN_STEPS} steps, but at most {MAX_EPOCHS} epochs); --epochs N sets another number"
    )
    return with_training(config, epochs=epochs)


def _steps(config: Config, dataset: Dataset) -> int:
    """Steps of an epoch."""
    return steps_of_epoch([record.size for record in dataset.splits["train"].records], config.training.batch)


def _refuse_alternating_with_one_stage(config: Config) -> None:
    kind = config.detector.kind
    if config.training.scheme == "alternating" and kind != "faster-rcnn":
        why = ", which --proposals makes it," if config.data.proposals is not None else ""
        raise OptionError(
            f"training.scheme=alternating trains both stages in turn, and detector.kind={kind}{why} has one: leave out "
            "the scheme, or the rest"
        )


def _settings_of(start: LoadedModel | None) -> Config | None:
    """Settings of the detector that training starts from, without those of its training and of its data."""
    if start is None:
        return None
    fresh = preset(start.config.preset)
    return start.config.model_copy(update={"training": fresh.training, "data": fresh.data})
