"""Runs a reader on its mutations one by one and records the result of each: time, memory, and any fault."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import NoReturn

from faster_rcnn.errors import FasterRCNNError, InputError
from fuzz.readers import READERS, Door

MAX_SECONDS = 10.0
MAX_MEGABYTES = 1000.0

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Hang(BaseException):
    """A reader took too long; no reader catches it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one mutation."""

    number: int
    file: str
    refusal: str | None
    """The message of an error of this package."""
    fault: str | None
    seconds: float
    """CPU time."""
    megabytes: float
    """Peak memory above that of the process before."""


def outcomes(name: str, folder: Path, first: int, count: int, seconds: float = MAX_SECONDS) -> Iterator[Outcome]:
    """Results of ``count`` mutations of a reader's files, whose contents are determined by their numbers."""
    folder.mkdir()
    door = READERS[name](folder)
    valid = {target.path: target.path.read_bytes() for target in door.targets}
    door.read()  # valid files are read, and what is loaded once is loaded
    for number in range(first, first + count):
        random = Random(f"{name} {number}")
        target = random.choice(door.targets)
        target.path.write_bytes(target.mutate(random, (valid[target.path], *target.others)))
        yield _outcome(door, number, target.path.relative_to(folder).as_posix(), seconds)
        target.path.write_bytes(valid[target.path])


def _outcome(door: Door, number: int, file: str, seconds: float) -> Outcome:
    refusal = fault = None
    before, start = _start_of_memory(), time.process_time()
    try:
        with _at_most(seconds):
            door.read()
    except InputError as error:
        refusal = str(error)
        fault = None if Path(file).name in refusal else f"a message that does not name the file: {refusal}"[:500]
    except FasterRCNNError as error:
        fault = f"exit code {error.exit_code}: {error}"
    except (Hang, Exception) as error:  # noqa: BLE001  # what is no error of ours is what is searched for
        fault = f"{type(error).__name__}: {error}"[:300] + f" at {_place_of(error)}"
    took, megabytes = time.process_time() - start, _most_memory() - before
    if fault is None and megabytes > MAX_MEGABYTES:
        fault = f"{megabytes:.0f} MB"
    return Outcome(number, file, refusal, fault, took, megabytes)


def _place_of(error: BaseException) -> str:
    """The innermost calls, the last one first."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(frames))


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise ``Hang`` in the block where it computes for longer, or waits for ten times as long."""

    def stop(_: int, __: FrameType | None) -> NoReturn:
        raise Hang(f"more than {seconds:g} seconds of the processor, or {10 * seconds:g} by the clock")

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, 10 * seconds))
    before = [signal.signal(each, stop) for each, _, _ in timers]
    for _, timer, most in timers:
        signal.setitimer(timer, most)
    try:
        yield
    finally:
        for (each, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(each, handler)


def _start_of_memory() -> float:
    """Megabytes that the process has now; its peak is measured from here on. Linux only, elsewhere 0."""
    if not _CLEAR.exists():
        return 0.0
    _CLEAR.write_text("5")
    return _status("VmRSS")


def _most_memory() -> float:
    """Peak of the process in megabytes since the last start."""
    return _status("VmHWM") if _CLEAR.exists() else 0.0


def _status(name: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
