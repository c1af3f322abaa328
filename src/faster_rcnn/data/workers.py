"""Worker processes that read images: their signals, the detection of their death, and their end with the parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from torch._C import _error_if_any_worker_fails
from torch.utils.data import DataLoader

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.system.signals import STOPPING

Batch = TypeVar("Batch")

_SECONDS_BETWEEN_CHECKS = 1.0
"""Time between two checks of a worker that its parent is alive."""

_LOG = logging.getLogger(__name__)
_WORKER_DIED = "DataLoader worker"
"""First words of torch's RuntimeError about a worker process that ended."""
_GUARD = "put the lines that train below if __name__ == '__main__':, or train with workers=0"
"""The remedy for scripts on systems whose processes are not forked."""


def workers_here(requested: int) -> int:
    """The number of workers that is requested; 0 in a daemonic process, which Python does not allow children.

    Tasks of Celery and workers of ``multiprocessing.Pool`` are such processes.
    """
    if requested and multiprocessing.current_process().daemon:
        _LOG.info("training.workers=%d: a daemonic process has no children, so it reads the images itself", requested)
        return 0
    return requested


def refuse_in_starting_process() -> None:
    """Raise where this process is a worker that is being started, and for that runs the user's script again.

    Systems that do not fork load the script into each new process: a script that trains there, too, would never end.

    Raises:
        OptionError: this process is such a worker; the message has the line that the script needs.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself checks
        raise OptionError(f"the script that trains was loaded again by a process that reads images: {_GUARD}")


@contextmanager
def sheltered() -> Iterator[None]:
    """Block the stopping signals for processes that start within the block, until they run ``begin_reading``.

    Ctrl-C, ``timeout``, Slurm, systemd and a closed terminal signal the whole process group. The main process then
    finishes its step with the images that the workers have read, saves, and ends them; they end as well where it dies.
    torch's handler of SIGCHLD, which it installs with its first workers, is removed again; see ``received``.
    """
    with _blocked(set(STOPPING)), _same_handler_of_children():
        yield


def begin_reading(worker: int = 0) -> None:
    """Prepare a worker that reads images for training: it ends with its parent, and ignores the stopping signals."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Let this process of ``multiprocessing`` end soon after its parent, even where the parent was killed.

    torch's own workers notice the parent's end, too, but then wait to hand over images that no process takes.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent, os.getppid()), daemon=True).start()


def _end_after(parent: BaseProcess, above: int) -> None:
    """End this process when ``parent`` has ended, or ``above``, which started it.

    The parent's end is noticed by a pipe, and a sibling that was forked later keeps the parent's end of it open. So on
    Unix the process above is checked, too, which is the parent or a forkserver.
    """
    while parent.is_alive() and os.getppid() == above:
        parent.join(_SECONDS_BETWEEN_CHECKS)
    os._exit(1)


@contextmanager
def _blocked(numbers: set[signal.Signals]) -> Iterator[None]:
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _same_handler_of_children() -> Iterator[None]:
    """Restore the handler of SIGCHLD after the block."""
    if not _may_set_handlers():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if before is not None:  # None stands for a handler that was not set in Python
            signal.signal(signal.SIGCHLD, before)


def started(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the processes of a loader, sheltered, and return its batches as ``received`` gives them.

    Raises:
        MachineError: a worker ended too early.
    """
    with warnings.catch_warnings(), sheltered(), worker_death_as_machine_error():
        # Python warns of forking beside threads; a worker uses none of them before it sets torch to one thread.
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        return received(iter(loader))


def received(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches of torch's loader; an error about a killed worker is raised only between two batches.

    torch raises it wherever the main process is when SIGCHLD arrives, which may be in the middle of a step: half of the
    weights would be updated, and the state could not be saved.

    Raises:
        MachineError: a worker ended too early.
    """
    while True:
        try:
            with worker_death_as_machine_error(), _raising_for_dead_workers():
                batch = next(batches)
        except StopIteration:
            return
        yield batch


@contextmanager
def worker_death_as_machine_error() -> Iterator[None]:
    """Turn torch's error about a worker that ended into ``MachineError``."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(_WORKER_DIED):
            raise
        reason = " ".join(str(error).split()).rstrip(". ")
        # A forked process has not loaded the script.
        guard = "" if multiprocessing.get_start_method() == "fork" else f"; in a script of your own {_GUARD}"
        raise MachineError(
            f"a process that reads images ended ({reason}); if memory is short, read them with fewer processes "
            f"(--workers 0 needs none){guard}"
        ) from error


@contextmanager
def _raising_for_dead_workers() -> Iterator[None]:
    if not _may_set_handlers():
        yield
        return
    with _same_handler_of_children():
        signal.signal(signal.SIGCHLD, lambda number, frame: _error_if_any_worker_fails())
        _error_if_any_worker_fails()  # checks the time since the last batch
        yield


def _may_set_handlers() -> bool:
    """Whether this is the main thread of a system that has SIGCHLD."""
    return hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
