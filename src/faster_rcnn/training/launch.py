"""Training in as many processes as the options, the settings or the run that goes on ask for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from faster_rcnn.errors import (
    DivergedError,
    ElsewhereError,
    FasterRCNNError,
    InputError,
    MachineError,
    OptionError,
    VerificationError,
)
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.console import flags_of_shown
from faster_rcnn.system.devices import choose_device
from faster_rcnn.system.distributed import Processes, nothing_logged
from faster_rcnn.system.launched import is_launched
from faster_rcnn.system.launching import run_processes
from faster_rcnn.system.signals import STOPPING, Signalled
from faster_rcnn.training.callback import Callback
from faster_rcnn.training.machine_settings import refuse_idle_processes
from faster_rcnn.training.new_run import chosen_settings
from faster_rcnn.training.resume import config_to_go_on, folder_to_resume
from faster_rcnn.training.run import train
from faster_rcnn.training.run_folder import new_run_folder

ERRORS = {2: InputError, 3: DivergedError, 4: VerificationError, 5: MachineError}
"""Classes of errors by the exit codes of the command."""

_LOG = logging.getLogger(__name__)


def train_or_launch(data: Path, options: TrainOptions, callbacks: Sequence[Callback] = ()) -> Path:
    """Train as ``run.train`` does, here or in other processes on this machine, where ``training.processes`` is more.

    What is shown of the run here, the other processes show; where nothing is, their messages are logged here.

    Raises:
        OptionError: the processes are more than the GPUs or the images of a step, or they cannot call ``callbacks``.
        FasterRCNNError: the run failed; the error has the class of its exit code. It is raised from ``ElsewhereError``
            where the processes have shown the error.
        KeyboardInterrupt: a signal ended the run between two steps.
    """
    if is_launched() or not _may_be_several(options):
        return train(data, options, callbacks)
    with nothing_logged():  # what is odd about the settings is logged by the processes
        folder, config = _folder_and_settings(data, options)
    count = config.training.processes
    if count == 1:
        return train(data, replace(options, out=folder) if options.resume else options, callbacks)
    refuse_idle_processes(config.training, count)
    choose_device(config.training.device, Processes(0, count, 0, count))
    if callbacks:
        raise OptionError(
            f"callbacks are not called in the {count} processes that this one would start; start your script itself in "
            f"as many: torchrun --standalone --nproc-per-node {count} SCRIPT, or train with processes=1"
        )
    if callable(options.transform):
        raise OptionError(
            f"transform is a function of this process, and the {count} processes that it would start do not have it; "
            "name it, as transform='FILE.py:NAME'"
        )
    _launch(["train", *replace(options, out=folder).arguments(), "--", str(data)], count)
    return folder


def _may_be_several(options: TrainOptions) -> bool:
    """Whether more than one process may be asked for, so that settings must be read before the training begins."""
    settings = [options.settings] if isinstance(options.settings, str) else options.settings or ()
    named = any("processes" in each for each in settings)
    return named or options.processes is not None or options.config is not None or options.resume


def _folder_and_settings(data: Path, options: TrainOptions) -> tuple[Path, Config]:
    out = None if options.out is None else Path(options.out)
    if options.resume:
        folder = folder_to_resume(out, data)
        return folder, config_to_go_on(folder, options)
    config, _ = chosen_settings(options)
    return new_run_folder(out, data), config


def _launch(arguments: Sequence[str], count: int) -> None:
    """Run the command with these arguments in ``count`` processes, and raise what it ended with."""
    flags = flags_of_shown()
    messages = _Messages()
    shown_here = () if flags is None else flags
    line_done = messages.take if flags is None else None
    code = run_processes([*shown_here, *arguments], count, line_done=line_done)
    if code - 128 in STOPPING:
        raise Signalled(code - 128)
    if code:
        shown_there = None if flags is None else ElsewhereError("the message is above")
        text = messages.error or f"the training in {count} processes failed with exit code {code}"
        raise ERRORS.get(code, FasterRCNNError)(text) from shown_there


class _Messages:
    """What the processes write where nothing is shown: it is logged here, and the error is kept."""

    error: str | None = None

    def take(self, line: str) -> None:
        """Log one line; keep the text of an error."""
        kind, _, text = line.partition(": ")
        if kind == "faster-rcnn":
            self.error = text.removeprefix("error: ")
        elif kind == "warning":
            _LOG.warning(text)
        elif line:
            _LOG.info(line)
