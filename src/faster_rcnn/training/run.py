"""``faster-rcnn train``: labelled images in, a run folder with the best and the last model out."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
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
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.system.agreement import refuse_differing
from faster_rcnn.system.denormals import denormals_flushed
from faster_rcnn.system.devices import using_threads
from faster_rcnn.system.distributed import Processes, joined
from faster_rcnn.system.locking import only_writer
from faster_rcnn.system.wording import count_of
from faster_rcnn.training import run_folder
from faster_rcnn.training.alternating import train_alternating
from faster_rcnn.training.batch_size import with_batch
from faster_rcnn.training.callback import Callback
from faster_rcnn.training.data_settings import following_data
from faster_rcnn.training.labelled import load_for_training, with_val_seed
from faster_rcnn.training.loggers.choice import loggers_of
from faster_rcnn.training.machine_settings import machine_changes, with_machine_settings, with_training
from faster_rcnn.training.optimizer import remark_on_rate
from faster_rcnn.training.resume import (
    config_to_go_on,
    folder_to_resume,
    refuse_lost_best,
    refuse_no_more_epochs,
    refuse_other_data,
    stored_config,
)
from faster_rcnn.training.schedule import MAX_EPOCHS, MIN_EPOCHS, MIN_STEPS, learning_rate, number_of_epochs
from faster_rcnn.training.score_floor import remark_on_floor_of
from faster_rcnn.training.session import Task, train_task
from faster_rcnn.weights.model_file import LoadedModel
from faster_rcnn.weights.resolve import resolve_model

_LOG = logging.getLogger(__name__)


def train(data: Path, options: TrainOptions, callbacks: Sequence[Callback] = ()) -> Path:
    """Train a detector on the images of ``data`` and return the run folder.

    Where a launcher such as ``torchrun`` has started several processes, they train it together: the first one writes
    the run folder, shows what there is to show, and calls the callbacks.

    Raises:
        DatasetError: the data cannot be used.
        OptionError: an option makes no sense, or differs from those of the run that goes on.
        DivergedError: the loss or its gradient stopped being finite.
    """
    refuse_in_starting_process()
    with joined() as processes, processes.first_logs():
        if processes.are_several:
            # as on a command line, without the callbacks of a program, whose texts may differ
            given = " ".join(replace(options, out=None).arguments())
            refuse_differing(processes, {"the options": given})
        processes.together(lambda: _refuse_other_count(options, processes))
        goes_on = processes.from_first(options.resume or _is_restarted(options))
        work = _go_on if goes_on else _begin
        loggers = processes.together(lambda: loggers_of(options.log))
        return work(data, options, (*callbacks, *loggers), processes)


def _begin(data: Path, options: TrainOptions, callbacks: tuple[Callback, ...], processes: Processes) -> Path:
    """Train from the first step on."""
    config, start = processes.together(lambda: _chosen(options))
    folder = processes.of_first(lambda: run_folder.new_run_folder(_out(options), data))
    with run_folder.kept_if_used(folder) if processes.is_first else nullcontext():
        dataset = processes.together(lambda: load_for_training(data, config))
        _refuse_other_inputs(processes, config, dataset)
        config = processes.of_first(lambda: _for_this_run(config, start, dataset, processes))
        if processes.is_first:
            run_folder.write_data(folder, data, fingerprint_of(dataset))
        return _train(Task(data, dataset, config, folder, folder, start, callbacks=callbacks, processes=processes))


def _chosen(options: TrainOptions) -> tuple[Config, LoadedModel | None]:
    """The settings that the options mean, and the detector whose weights are the initial ones, if one is named."""
    start = resolve_model(str(options.weights)) if options.weights else None
    config = with_val_seed(_with_external_proposals(resolved(options, settings_of(start))))
    _refuse_alternating_with_one_stage(config)
    remark_on_floor_of(start, config)
    return config, start


def _for_this_run(config: Config, start: LoadedModel | None, dataset: Dataset, processes: Processes) -> Config:
    """The configuration with a number in the place of each ``auto``, by these images and this machine."""
    remark_on_rate(config.training, preset(config.preset).training)
    if start is None:  # a trained first stage keeps its anchors
        config = following_data(config, dataset.splits["train"])
    config = with_batch(config, dataset, processes)  # decides the steps, and with them the epochs
    return with_machine_settings(_with_epochs(config, dataset), processes)


def _go_on(data: Path, options: TrainOptions, callbacks: tuple[Callback, ...], processes: Processes) -> Path:
    """Continue the training from the state in the folder of the run."""
    folder = processes.of_first(lambda: folder_to_resume(_out(options), data))
    with only_writer(folder) if processes.is_first else nullcontext():
        config = processes.of_first(lambda: config_to_go_on(folder, options))
        state = processes.of_first(lambda: run_folder.read_state(folder))
        dataset = processes.together(lambda: load_for_training(data, config))
        _refuse_other_inputs(processes, config, dataset)
        config, changes = processes.of_first(lambda: _checked(data, folder, config, state, dataset, processes))
        task = Task(data, dataset, config, folder, folder, changes=changes, callbacks=callbacks, processes=processes)
        return _train(task, state)


def _checked(
    data: Path,
    folder: Path,
    config: Config,
    state: Mapping[str, Any] | None,
    dataset: Dataset,
    processes: Processes,
) -> tuple[Config, tuple[str, ...]]:
    """Check that the run in ``folder`` can go on; returns its settings, and their changes in words."""
    if state:
        refuse_lost_best(folder, state)
    done = state["progress"].epoch if state else 0
    epochs = config.training.epochs
    assert epochs != "auto"  # the run has stored a number
    refuse_other_data(folder, data, dataset)  # before the check of the epochs, whose remedy names these data
    refuse_no_more_epochs(folder, data, epochs, done)
    before = stored_config(folder).training
    config = _with_known_machine(folder, config, processes)
    changes = machine_changes(before, config.training)
    if changes:
        _LOG.info(f"going on with {', '.join(changes)}: the run notes it, and does not end as it would have")
    if state and config.training.epochs != before.epochs:
        _log_extension(before, config.training, _steps(config, dataset), state["progress"].step)
    return config, changes


def _refuse_other_inputs(processes: Processes, config: Config, dataset: Dataset) -> None:
    """Raise ``OptionError`` where a process has other settings or other data than the first one."""
    if processes.are_several:
        settings = hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
        refuse_differing(processes, {"the settings": settings, "the data": str(fingerprint_of(dataset).digest())})


def _is_restarted(options: TrainOptions) -> bool:
    """Whether torchrun has started this process again, after one of several had ended, to go on with a run of theirs.

    Raises ``OptionError`` where it may do so and would not find the run.
    """
    if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") == "0":
        return False
    folder = _out(options)
    if folder is None:
        raise OptionError(
            "with torchrun's --max-restarts give the run folder with --out, by which the run is found again"
        )
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0":
        return False
    if not run_folder.holds_begun_run(folder):
        run_folder.remove_beginning(folder)
        return False
    return not run_folder.is_finished(folder)


def _refuse_other_count(options: TrainOptions, processes: Processes) -> None:
    if options.processes not in (None, processes.count):
        raise OptionError(
            f"--processes {options.processes}: the launcher of this run has started "
            f"{count_of(processes.count, 'process', 'processes')}; leave the option out"
        )


def _out(options: TrainOptions) -> Path | None:
    return None if options.out is None else Path(options.out)


def _train(task: Task, state: Mapping[str, Any] | None = None) -> Path:
    threads = task.config.training.threads
    assert threads != "auto"  # a run begins with a number
    with using_threads(threads), denormals_flushed():
        if task.config.training.scheme == "alternating":
            return train_alternating(task)
        proposals = task.processes.of_first(lambda: training_proposals(task.dataset, task.config, task.folder))
        return train_task(replace(task, proposals=proposals), state)


def _with_known_machine(folder: Path, config: Config, processes: Processes) -> Config:
    """The configuration of a resumed run; a run without recorded precision and threads gets this machine's."""
    known, training = with_machine_settings(config, processes), config.training
    if "auto" in (training.precision, training.threads):
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
    return steps_of_epoch([record.size for record in dataset.splits["train"].records], config.training.images_per_step)


def _refuse_alternating_with_one_stage(config: Config) -> None:
    kind = config.detector.kind
    if config.training.scheme == "alternating" and kind != "faster-rcnn":
        why = ", which --proposals makes it," if config.data.proposals is not None else ""
        raise OptionError(
            f"training.scheme=alternating trains both stages in turn, and detector.kind={kind}{why} has one: leave out "
            "the scheme, or the rest"
        )


def settings_of(start: LoadedModel | None) -> Config | None:
    """Settings of the detector that training starts from, without those of its training and of its data."""
    if start is None:
        return None
    fresh = preset(start.config.preset)
    return start.config.model_copy(update={"training": fresh.training, "data": fresh.data})
