"""The processes that do one piece of work together, on one machine or on several, and what they exchange.

PyTorch's launcher ``torchrun`` starts them, and ``torch.distributed`` connects them: gloo between CPUs, NCCL between
GPUs. The first process, of rank 0, writes files and shows messages. Every exchange is made by all processes, in the
same order; a process that ends early ends the others at their next exchange.
"""

from __future__ import annotations

import logging
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch.distributed.rendezvous import rendezvous

from faster_rcnn.errors import ElsewhereError, FasterRCNNError, LostProcessError, MachineError
from faster_rcnn.system.interruptible import interruptible
from faster_rcnn.system.launched import end_with_launcher
from faster_rcnn.system.logs import logged_from
from faster_rcnn.system.signals import Signalled

Value = TypeVar("Value")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of one piece of work, and the place of this process among them."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    local_rank: int = 0
    """Number of this process among those on its machine, from 0."""
    local_count: int = 1
    """Number of the processes on this machine."""

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows messages."""
        return self.rank == 0

    @property
    def are_several(self) -> bool:
        """Whether there are other processes."""
        return self.count > 1

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of ``items``: every ``count``-th one, so that each item is in one part."""
        return items[self.rank :: self.count]

    def added(self, numbers: Tensor) -> Tensor:
        """The sums of a tensor over all processes, of the same shape; alone, the tensor itself."""
        return self._reduced(numbers, distributed.ReduceOp.SUM) if self.are_several else numbers

    def largest(self, *numbers: int) -> list[int]:
        """The maximum of each number over all processes."""
        if not self.are_several:
            return list(numbers)
        found: list[int] = self._reduced(torch.tensor(numbers), distributed.ReduceOp.MAX).tolist()
        return found

    def gathered(self, value: Value) -> list[Value]:
        """The values of all processes, by rank; any value that ``pickle`` takes."""
        if not self.are_several:
            return [value]
        values: list[Any] = [None] * self.count
        with lost_process_as_error():
            distributed.all_gather_object(values, value)
        return values

    def gathered_by_first(self, value: Value) -> list[Value]:
        """The values of all processes, by rank, in the first process; nothing in the others."""
        if not self.are_several:
            return [value]
        values: list[Any] | None = [None] * self.count if self.is_first else None
        with lost_process_as_error():
            distributed.gather_object(value, values)
        return values or []

    def from_first(self, value: Value) -> Value:
        """The value that the first process gave."""
        if not self.are_several:
            return value
        values: list[Any] = [value if self.is_first else None]
        with lost_process_as_error():
            distributed.broadcast_object_list(values, src=0)
        first: Value = values[0]
        return first

    def of_first(self, work: Callable[[], Value]) -> Value:
        """The result of ``work``, which the first process alone does; raises as ``outcomes`` does."""
        first: Value = self.outcomes(lambda: work() if self.is_first else None)[0]  # type: ignore[assignment]
        return first

    def together(self, work: Callable[[], Value]) -> Value:
        """The result of ``work`` in this process; every process does it, and the errors are those of ``outcomes``."""
        result: list[Value] = []
        self.outcomes(lambda: result.append(work()))
        return result[0]

    def outcomes(self, work: Callable[[], Value]) -> list[Value]:
        """The results of ``work`` in every process, by rank; where it fails in one, it ends in all of them.

        Raises:
            FasterRCNNError: in the first process, its own error or that of another process.
            ElsewhereError: in the other processes; the first process reports the error.
            KeyboardInterrupt: the work was interrupted here, or elsewhere by the same signal.
        """
        if not self.are_several:
            return [work()]
        own: FasterRCNNError | KeyboardInterrupt | None = None
        try:
            result = work()
        except (FasterRCNNError, KeyboardInterrupt) as error:
            own = error
        outcomes = self.gathered(result if own is None else _Failure.of(own))
        first = next((rank for rank, each in enumerate(outcomes) if isinstance(each, _Failure)), None)
        if first is None:
            return outcomes  # type: ignore[return-value]  # none of them is a failure
        if own is not None and (self.is_first or isinstance(own, KeyboardInterrupt)):
            raise own
        failure = outcomes[first]
        assert isinstance(failure, _Failure)
        raise failure.error(first, self) from own

    def first_logs(self) -> AbstractContextManager[None]:
        """Within it the other processes log nothing: all of them do the same work and would log the same lines."""
        return nullcontext() if self.is_first else nothing_logged()

    def _reduced(self, numbers: Tensor, operation: Any) -> Tensor:
        found = numbers.clone()
        with lost_process_as_error():
            distributed.all_reduce(found, operation)
        return found


def nothing_logged() -> AbstractContextManager[None]:
    """Within it the package logs nothing: another process logs the same work."""
    return logged_from(logging.CRITICAL, "faster_rcnn")


ALONE = Processes()
"""A process that works by itself."""

CONNECTING = timedelta(minutes=5)
"""Time within which all processes must have connected; machines of a cluster may start minutes apart."""


@contextmanager
def joined(connecting: timedelta = CONNECTING) -> Iterator[Processes]:
    """Connect this process with the others that a launcher such as ``torchrun`` started, until the end of the block.

    The launcher sets the environment variables RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. A process without them
    works alone. Processes that the program has connected already stay connected.

    Raises:
        MachineError: the other processes cannot be reached, or the port is in use.
    """
    count = _number("WORLD_SIZE", 1)
    if count == 1 or "RANK" not in os.environ:
        yield ALONE
        return
    processes = Processes(_number("RANK"), count, _number("LOCAL_RANK"), _number("LOCAL_WORLD_SIZE", 1))
    end_with_launcher()  # a program of the user's, too, of which the launcher was killed
    if distributed.is_initialized():
        yield processes
        return
    _connect(processes, connecting)
    try:
        yield processes
    finally:
        distributed.destroy_process_group()


def _connect(processes: Processes, connecting: timedelta) -> None:
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(processes.local_rank % gpus)
    where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        store, rank, count = interruptible(lambda: next(rendezvous("env://", timeout=connecting)))
        # Numbers of the host go by gloo, gradients of GPUs by NCCL.
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    except (RuntimeError, ValueError) as error:  # torch's errors of the network are RuntimeErrors
        reason = " ".join(str(error).split(". ")[0].split())
        raise MachineError(
            f"process {processes.rank} of {processes.count} cannot connect with the others at {where}: {reason}; check "
            "MASTER_ADDR, MASTER_PORT and the firewall, or start all processes with torchrun, which sets them"
        ) from error


def _number(variable: str, default: int = 0) -> int:
    """A number in an environment variable; raises ``MachineError`` for anything else."""
    text = os.environ.get(variable, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise MachineError(f"the environment variable {variable} is {text!r}, not a number; unset it") from error


@contextmanager
def lost_process_as_error() -> Iterator[None]:
    """Turn torch's error of an exchange that failed into ``LostProcessError``; other errors pass."""
    try:
        yield
    except RuntimeError as error:
        if not _OF_CONNECTION.search(str(error)):
            raise
        raise LostProcessError("another process of this work ended, or the connection to it") from error


_OF_CONNECTION = re.compile(r"gloo|nccl|connection|peer|socket|timed out", re.IGNORECASE)
"""Words of torch's errors about a failed exchange."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error of one process, as the others receive it."""

    text: str
    exit_code: int
    signal: int | None
    """Number of the signal that interrupted the process."""

    @staticmethod
    def of(error: FasterRCNNError | KeyboardInterrupt) -> _Failure:
        if isinstance(error, KeyboardInterrupt):
            return _Failure("interrupted", 1, getattr(error, "signal", signal.SIGINT))
        return _Failure(str(error), error.exit_code, None)

    def error(self, rank: int, here: Processes) -> BaseException:
        """The error to raise in the process ``here`` for this failure of process ``rank``."""
        if self.signal is not None:
            return Signalled(self.signal)
        kind = FasterRCNNError if here.is_first else ElsewhereError
        error = kind(f"process {rank} of {here.count}: {self.text}")
        error.exit_code = self.exit_code
        return error
