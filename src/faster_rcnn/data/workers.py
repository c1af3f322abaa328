"""Processes that read images: which signals reach them, when their end is noticed, that they end with their parent."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import TypeVar

from torch._C import _error_if_any_worker_fails

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.system.signals import STOPPING

Batch = TypeVar("Batch")

SECONDS_BETWEEN_CHECKS = 1.0
"""How often a process checks that its parent is there."""

_LOG = logging.getLogger(__name__)
_OF_TORCH = "DataLoader worker"
"""How torch's RuntimeError about a process that ended begins."""
_GUARD = "put the lines that train below if __name__ == '__main__':, or train with workers=0"
"""What a script needs whose processes are not forked."""


def workers_here(asked: int) -> int:
    """The number of processes asked for; none in a daemonic process, which Python lets have no children.

    Tasks of Celery and workers of ``multiprocessing.Pool`` are such processes.
    """
    if asked and multiprocessing.current_process().daemon:
        _LOG.info("training.workers=%d: a daemonic process has no children, so it reads the images itself", asked)
        return 0
    return asked


def refuse_in_starting_process() -> None:
    """Raise where this process is only being started to read images, and for that runs the user's script again.

    Systems that do not fork load the script into each new process: one that trains there, too, would never end.

    Raises:
        OptionError: with what to write into the script.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise OptionError(f"the script that trains was loaded again by a process that reads images: {_GUARD}")


@contextmanager
def sheltered() -> Iterator[None]:
    """The signals that stop a process do not reach what starts within, until it runs ``begin_reading``.

    Ctrl-C, ``timeout``, Slurm, systemd and a closed terminal signal the whole process group. The main process then
    finishes its step with the images that the others have read, saves, and ends them; they end as well where it dies.
    torch's handler of SIGCHLD, which it installs with its first processes, is taken away again; see ``received``.
    """
    with _blocked(set(STOPPING)), _same_handler_of_children():
        yield


def begin_reading(worker: int = 0) -> None:
    """Called first in a process that reads images for training: it ends with its parent, and by no signal before."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """Let this process of ``multiprocessing`` end soon after its parent, even one that was killed.

    torch's own processes notice it, too, but then wait to hand over what they have read, which nobody takes.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent, os.getppid()), daemon=True).start()


def _end_after(parent: BaseProcess, above: int) -> None:
    """End this process when ``parent`` has ended, or ``above``, which started it.

    A sibling that was forked later keeps the parent's end of the pipe open by which its end is noticed, so on Unix the
    process above is looked at, too. A forkserver is above, and not the parent.
    """
    while parent.is_alive() and os.getppid() == above:
        parent.join(SECONDS_BETWEEN_CHECKS)
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
    """The handler of SIGCHLD is afterwards what it was."""
    if not _may_set_handlers():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if before is not None:  # None is a handler that was not made in Python
            signal.signal(signal.SIGCHLD, before)


def received(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches of torch's loader; that a process which reads images was killed is raised only here.

    torch raises it wherever the main process is when SIGCHLD comes, which may be in the middle of a step: half of the
    weights would be moved, and the state could not be saved.

    Raises:
        MachineError: a process ended that should not.
    """
    while True:
        try:
            with deaths_told(), _raising_for_dead_workers():
                batch = next(batches)
        except StopIteration:
            return
        yield batch


@contextmanager
def deaths_told() -> Iterator[None]:
    """torch's error about a process that ended becomes ``MachineError``."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(_OF_TORCH):
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
        _error_if_any_worker_fails()  # since the batch before
        yield


def _may_set_handlers() -> bool:
    """Whether this is the main thread, of a system that has SIGCHLD."""
    return hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
