"""What a command prints: messages, warnings, its error, how far it is, and results for people.

This is the one place that prints, so that every name from outside is escaped (``terminal``). Everything but results
goes to stderr, so that standard output holds results and nothing else. On a terminal long work shows a bar; in a log
it leaves a line every so often.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar, runtime_checkable

from rich.console import Console
from rich.progress import TaskID

from faster_rcnn.system.bars import Bars, clock, shown_value
from faster_rcnn.system.streams import writing_results
from faster_rcnn.system.terminal import printable, printable_lines

SECONDS_BETWEEN_LINES = 30.0
"""Of plain progress in a log: enough to see life, few enough to read afterwards."""

Item = TypeVar("Item")


_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether the command that runs shows its warnings and results alone; set by ``quiet``."""


@contextmanager
def quiet() -> Iterator[None]:
    """Within it messages and progress are not shown, and warnings are."""
    before = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(before)


def say(*lines: str) -> None:
    """A message for the user; a line end within one of the lines is part of a name, and is escaped."""
    if not _QUIET.get():
        print(*map(printable, lines), sep="\n", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """One line about something that is odd but does not stop the work."""
    print(printable(f"warning: {text}"), file=sys.stderr, flush=True)


def fail(text: str) -> None:
    """The line about what ended the command, or what it found to be broken."""
    print(printable(f"faster-rcnn: {text}"), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """A result, of one line or more, on standard output."""
    with writing_results():
        print(printable_lines(text), flush=True)


def show_traceback(error: BaseException) -> None:
    """Where an error was raised, for whoever looks for its cause."""
    print(printable_lines("".join(traceback.format_exception(error)).rstrip()), file=sys.stderr, flush=True)


@runtime_checkable
class Meter(Protocol):
    """Something that is told of each step of long work."""

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        """Count steps; ``values`` are shown beside them, by name."""


@contextmanager
def progress(
    label: str, total: int | None, *, done: int = 0, seconds: float = SECONDS_BETWEEN_LINES
) -> Iterator[Meter]:
    """Shows how far work of ``total`` steps is, and the time left; ``None`` is work of unknown length.

    ``done`` steps were made earlier: they count, and the time left is not worked out from them.
    """
    if _QUIET.get():
        yield NoMeter()
        return
    if sys.stderr.isatty():
        with _bar(label, total, done, transient=False) as meter:
            yield meter
        return
    log = LogMeter(label, total, seconds, done)
    yield log
    log.finish()


@contextmanager
def passing_progress(label: str, total: int, *, seconds: float = SECONDS_BETWEEN_LINES) -> Iterator[Meter]:
    """Progress of work whose end is a line of its own: the bar goes then, and a log has lines only of long work."""
    if _QUIET.get():
        yield NoMeter()
        return
    if sys.stderr.isatty():
        with _bar(label, total, 0, transient=True) as meter:
            yield meter
        return
    yield LogMeter(label, total, seconds)


@contextmanager
def _bar(label: str, total: int | None, done: int, *, transient: bool) -> Iterator[Meter]:
    with Bars(console=Console(stderr=True), transient=transient) as bars:
        yield BarMeter(bars, bars.add_task(printable(label), total=total, completed=done, values={}))


def counted(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    """The same items, one by one, counted as they pass."""
    with progress(label, total) as meter:
        for item in items:
            yield item
            del item  # not held while the next one is made: it may be an image of a gigabyte
            meter.advance()


class NoMeter:
    """The meter of work that is done quietly."""

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        """Show nothing."""


class BarMeter:
    """A bar on a terminal."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self.bars = bars
        self.task = task

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        """Move the bar."""
        if values is not None:
            self.bars.update(self.task, values=dict(values))
        self.bars.advance(self.task, steps)


class LogMeter:
    """Lines in a log: one every so many seconds, and one at the end."""

    def __init__(self, label: str, total: int | None, seconds: float, done: int = 0) -> None:
        self.label = label
        self.total = total
        self.seconds = seconds
        self.done = self.earlier = done
        self.values = ""
        self.start = self.last_line = time.monotonic()

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        """Count, and write a line when it is time."""
        self.done += steps
        self.values = self.values if values is None else _shown(values)
        now = time.monotonic()
        if now - self.last_line >= self.seconds and self.done != self.total:
            self.last_line = now
            self._write(f"{clock(self._seconds_left(now))} left" if self.total else "")

    def finish(self) -> None:
        """The last line, with the time it took."""
        self._write(f"in {clock(time.monotonic() - self.start)}")

    def _seconds_left(self, now: float) -> float:
        return (now - self.start) / (self.done - self.earlier) * ((self.total or self.done) - self.done)

    def _write(self, ending: str) -> None:
        count = f"{self.done}/{self.total}" if self.total is not None else str(self.done)
        say("  ".join(part for part in (self.label, count, self.values, ending) if part))


def _shown(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {shown_value(value)}" for name, value in values.items())
