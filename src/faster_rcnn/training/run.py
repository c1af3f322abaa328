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

from faster_rcnn.data.fingerprint import fingerprint_of
from faster_rcnn.data.records import Dataset
from faster_rcnn.data.transform import Transform
from faster_rcnn.data.transform_source import transform_of
from faster_rcnn.data.workers import refuse_in_starting_process
from faster_rcnn.errors import OptionError
from faster_rcnn.inference.external_proposals import training_proposals
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
from faster_rcnn.training.callback import Callback
from faster_rcnn.training.labelled import load_for_training
from faster_rcnn.training.loggers.choice import loggers_of
from faster_rcnn.training.machine_settings import machine_changes, with_machine_settings
from faster_rcnn.training.new_run import chosen_settings, for_this_run, steps_of
from faster_rcnn.training.resume import (
    config_to_go_on,
    folder_to_resume,
    refuse_lost_best,
    refuse_no_more_epochs,
    refuse_other_data,
    stored_config,
)
from faster_rcnn.training.schedule import learning_rate, number_of_epochs
from faster_rcnn.training.session import Task, train_task
from faster_rcnn.training.transform_record import (
    refuse_other_transform,
    refuse_without_images_of_its_own,
    write_transform,
)

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
        transform = processes.together(lambda: transform_of(options.transform))
        if transform is not None:
            refuse_differing(processes, {"the transform": str(transform.digest)})
        return work(data, options, (*callbacks, *loggers), processes, transform)


def _begin(
    data: Path,
    options: TrainOptions,
    callbacks: tuple[Callback, ...],
    processes: Processes,
    transform: Transform | None,
) -> Path:
    """Train from the first step on."""
    config, start = processes.together(lambda: chosen_settings(options))
    processes.together(lambda: refuse_without_images_of_its_own(transform, config))
    folder = processes.of_first(lambda: run_folder.new_run_folder(_out(options), data))
    with run_folder.kept_if_used(folder) if processes.is_first else nullcontext():
        dataset = processes.together(lambda: load_for_training(data, config))
        _refuse_other_inputs(processes, config, dataset)
        config = processes.of_first(lambda: for_this_run(config, start, dataset, processes))
        if processes.is_first:
            run_folder.write_data(folder, data, fingerprint_of(dataset))
            write_transform(folder, transform)
        task = Task(data, dataset, config, folder, folder, start, callbacks=callbacks, processes=processes)
        return train_in_folder(replace(task, transform=transform))


def _go_on(
    data: Path,
    options: TrainOptions,
    callbacks: tuple[Callback, ...],
    processes: Processes,
    transform: Transform | None,
) -> Path:
    """Continue the training from the state in the folder of the run."""
    folder = processes.of_first(lambda: folder_to_resume(_out(options), data))
    with only_writer(folder) if processes.is_first else nullcontext():
        processes.of_first(lambda: refuse_other_transform(folder, transform))
        config = processes.of_first(lambda: config_to_go_on(folder, options))
        state = processes.of_first(lambda: run_folder.read_state(folder))
        dataset = processes.together(lambda: load_for_training(data, config))
        _refuse_other_inputs(processes, config, dataset)
        config, changes = processes.of_first(lambda: _checked(data, folder, config, state, dataset, processes))
        task = Task(data, dataset, config, folder, folder, changes=changes, callbacks=callbacks, processes=processes)
        return train_in_folder(replace(task, transform=transform), state)


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
        _log_extension(before, config.training, steps_of(config, dataset), state["progress"].step)
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


def train_in_folder(task: Task, state: Mapping[str, Any] | None = None) -> Path:
    """Train in the folder of a task, by the scheme of its settings; returns the folder."""
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
