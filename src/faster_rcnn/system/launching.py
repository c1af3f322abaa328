"""Several processes of one command on this machine, started and supervised by torch's launcher.

``run_processes(arguments, N)`` is ``torchrun --standalone --nproc-per-node N -m faster_rcnn ARGUMENTS``. It uses the
agent of ``torchrun``, not ``elastic_launch``, which wraps that agent: when one process has failed, or a signal arrives,
``elastic_launch`` ends the others after 30 s, with no regard to a step or a file that is not finished, a second signal
leaves processes behind, and after a signal exit codes are lost.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec, WorkerState
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import LogsDest, LogsSpecs, SignalException, SubprocessContext
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.api import RendezvousError
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from faster_rcnn.errors import MachineError
from faster_rcnn.system.ends import Ends
from faster_rcnn.system.launched import ROLE
from faster_rcnn.system.signals import SECONDS_OF_ONE_SIGNAL, STOPPING

SECONDS_TO_END = 120.0
"""Time that processes have to end after a signal, or after one has failed: a step of a large model on a CPU takes 30 s
and more, and then the first process writes its state."""
SECONDS_TO_END_AT_ONCE = 10.0
"""Time that processes have to end after a second signal, which asks them to end in the middle of a step."""

HERE = "127.0.0.1"
"""Address of the processes; ``localhost`` may stand for one that the machine lacks."""

_LOG = logging.getLogger(__name__)


def run_processes(
    arguments: Sequence[str],
    count: int,
    *,
    program: Sequence[str] = ("-m", "faster_rcnn"),
    line_done: Callable[[str], None] | None = None,
) -> int:
    """Run ``python PROGRAM ARGUMENTS`` in ``count`` processes that are connected; returns the exit code of their work.

    It is 0, the exit code of the process that failed first, or 128 and the number of the signal that ended the work.
    SIGINT, SIGTERM and SIGHUP are passed on to the processes, which end between two steps.

    Args:
        arguments: of the program, the same in each process.
        count: number of processes.
        program: arguments of the interpreter before these.
        line_done: called with each line that a process writes to standard error, in a thread; without it they write to
            this process's standard error.

    Raises:
        MachineError: the processes cannot be started, or one was killed or crashed.
    """
    interpreter = (*_own_search_path(), *program, *arguments)
    with _torch_logs_details(), _errors_to(line_done) as errors, _handlers_restored() as before:
        agent = _SupervisingAgent(_specification(interpreter, count), _Streams(errors), before)
        try:
            with agent.closing_streams():
                agent.run()
        except SignalException as error:  # SIGQUIT, or a signal while the processes were being started
            return 128 + error.sigval
        except (RendezvousError, OSError) as error:
            raise MachineError(f"{count} processes cannot be started: {' '.join(str(error).split())}") from error
    return agent.ends.exit_code()


def _specification(interpreter: Sequence[str], count: int) -> WorkerSpec:
    # Port 0 is a free one that the system chooses; the agent keeps its store there, which the processes use as well.
    here = RendezvousParameters("c10d", f"{HERE}:0", uuid.uuid4().hex, min_nodes=1, max_nodes=1, local_addr=HERE)
    return WorkerSpec(
        role=ROLE,
        local_world_size=count,
        rdzv_handler=get_rendezvous_handler(here),
        entrypoint=sys.executable,
        args=tuple(interpreter),
        max_restarts=0,
        local_addr=HERE,
    )


class _SupervisingAgent(LocalElasticAgent):
    """Torch's agent for the processes of one machine, which passes signals on, and lets the processes end.

    ``_start_workers`` and ``_monitor_workers`` are the methods that torch's documentation names for agents of one's
    own.
    """

    def __init__(self, spec: WorkerSpec, streams: LogsSpecs, handlers: Mapping[signal.Signals, Any]) -> None:
        """``handlers``: of signals, before torch changes them."""
        super().__init__(spec, streams)
        self.ends = Ends(spec.local_world_size)
        self._ignored = {number for number, handler in handlers.items() if handler == signal.SIG_IGN}
        self._signalled_at = -SECONDS_OF_ONE_SIGNAL
        self._deadline: float | None = None

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, int]:
        started: dict[int, int] = super()._start_workers(worker_group)
        if _in_main_thread():  # torch's handlers raise; what is ignored, as SIGHUP under nohup, stays so
            for number in STOPPING:
                signal.signal(number, signal.SIG_IGN if number in self._ignored else self._pass_on)
        return started

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        processes = self._processes()
        codes = {rank: process.poll() for rank, process in processes.items()}
        self.ends.note({rank: code for rank, code in codes.items() if code is not None})
        if len(self.ends.codes) < len(processes):
            if self.ends.failed():
                self._end_within(SECONDS_TO_END)
            if self._deadline is None or time.monotonic() < self._deadline:
                return RunResult(WorkerState.HEALTHY)
            self._kill_late()
        result: RunResult = super()._monitor_workers(worker_group)
        return result

    @contextmanager
    def closing_streams(self) -> Iterator[None]:
        """After the block, close the files that torch has opened for the processes and keeps open after their end."""
        try:
            yield
        finally:
            handlers = self._pcontext.subprocess_handlers if isinstance(self._pcontext, SubprocessContext) else {}
            for handler in handlers.values():
                if stream := getattr(handler, "_stderr", None):
                    stream.close()

    def _processes(self) -> Mapping[int, subprocess.Popen[bytes]]:
        """The processes by their number."""
        assert isinstance(self._pcontext, SubprocessContext)
        return {rank: each.proc for rank, each in self._pcontext.subprocess_handlers.items()}

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Send a signal on to the processes: they finish their step, and at a second signal they do not."""
        now = time.monotonic()
        if now - self._signalled_at < SECONDS_OF_ONE_SIGNAL:
            return
        self._end_within(SECONDS_TO_END if self.ends.signal is None else SECONDS_TO_END_AT_ONCE)
        self._signalled_at = now
        self.ends.signal = self.ends.signal or number
        for process in self._processes().values():
            process.send_signal(number)  # which does nothing for one that has ended

    def _end_within(self, seconds: float) -> None:
        latest = time.monotonic() + seconds
        self._deadline = latest if self._deadline is None else min(self._deadline, latest)

    def _kill_late(self) -> None:
        late = ", ".join(str(rank) for rank in self._processes() if rank not in self.ends.codes)
        _LOG.warning(f"process {late} of {self.ends.count} has not ended in time, and is killed")
        self._shutdown(signal.SIGKILL)


class _Streams(LogsSpecs):
    """Where the processes write: to the streams of this process, or their errors to a file; torch keeps no files."""

    def __init__(self, errors: str) -> None:
        super().__init__()
        self._errors = errors

    def reify(self, envs: dict[int, dict[str, str]]) -> LogsDest:
        """The streams of each process, an empty name for this process's own."""
        unused = dict.fromkeys(envs, os.devnull)
        return LogsDest(stdouts=dict.fromkeys(envs, ""), stderrs=dict.fromkeys(envs, self._errors), error_files=unused)

    @property
    def root_log_dir(self) -> str:
        """Folder of files, of which there are none."""
        return os.devnull


@contextmanager
def _errors_to(line_done: Callable[[str], None] | None) -> Iterator[str]:
    """Call ``line_done`` with the lines of a pipe, whose name is given; an empty name where nobody takes them."""
    if line_done is None:
        yield ""
        return
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8", errors="surrogateescape") as lines:

        def take() -> None:
            for line in lines:
                line_done(line.rstrip("\n"))

        taking = threading.Thread(target=take, daemon=True, name="lines")
        taking.start()
        try:
            yield f"/dev/fd/{writing}"
        finally:
            os.close(writing)
            taking.join(SECONDS_TO_END_AT_ONCE)


@contextmanager
def _handlers_restored() -> Iterator[Mapping[signal.Signals, Any]]:
    """Give the handlers of signals, and restore them after the block: torch sets its own, and leaves them."""
    numbers = [signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield before
    finally:
        if _in_main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _torch_logs_details() -> Iterator[None]:
    """Within it what torch's launcher logs is logged as details: the processes report errors by themselves."""
    logger = logging.getLogger("torch.distributed.elastic")
    others = [each for each in logger.handlers if isinstance(each, _Details)]  # of other threads, which launch as well
    details = _Details(others[0].propagated if others else logger.propagate)
    logger.propagate = False
    logger.addHandler(details)
    try:
        yield
    finally:
        logger.removeHandler(details)
        if not any(isinstance(each, _Details) for each in logger.handlers):
            logger.propagate = details.propagated


class _Details(logging.Handler):
    def __init__(self, propagated: bool) -> None:
        """``propagated``: whether the records went on to other handlers before."""
        super().__init__()
        self.propagated = propagated

    def emit(self, record: logging.LogRecord) -> None:
        _LOG.debug(" ".join(record.getMessage().split()))


def _in_main_thread() -> bool:
    """Whether handlers of signals can be set."""
    return threading.current_thread() is threading.main_thread()


def _own_search_path() -> tuple[str, ...]:
    """Options of the interpreter: ``-m`` searches the working folder only where this process searches it, too."""
    return () if "" in sys.path or os.getcwd() in sys.path else ("-P",)
