"""Printing: messages, warnings, the error that ends a command, progress, and results for people.

No other module of the library prints, so that every text from a user or a file is escaped (``terminal``). Everything
but results goes to stderr, so that standard output holds results and nothing else. On a terminal long work shows a bar;
in a log it leaves a line at intervals.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

from rich.console import Console
from rich.progress import TaskID

from faster_rcnn.system.bars import Bars, clock, shown_value
from faster_rcnn.system.progress import Meter, displaying
from faster_rcnn.system.streams import writing_results
from faster_rcnn.system.terminal import printable, printable_lines

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 30.0
"""Time between two lines of progress in a log: often enough to show that work goes on, and few enough to read."""

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether warnings and results alone are shown; set by ``shown``."""

_FLAGS: ContextVar[tuple[str, ...] | None] = ContextVar("flags", default=None)
"""Options of the command that shows as much; set by ``shown``."""
_SILENT: ContextVar[bool] = ContextVar("silent", default=False)
"""Whether neither messages nor warnings are shown, as another process shows them; set by ``shown``."""


def say(*lines: str) -> None:
    """Print a message; a line end within one of the lines is part of a name and is escaped."""
    if not _QUIET.get() and not _SILENT.get():
        print(*map(printable, lines), sep="\n", file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print one line about something odd that does not stop the work."""
    if not _SILENT.get():
        print(printable(f"warning: {text}"), file=sys.stderr, flush=True)


def fail(text: str) -> None:
    """Print the line about the error that ended the command, or about a fault that it found."""
    print(printable(f"faster-rcnn: {text}"), file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result, of one line or more, on standard output."""
    with writing_results():
        print(printable_lines(text), flush=True)


def show_traceback(error: BaseException) -> None:
    """Print the traceback of an error."""
    print(printable_lines("".join(traceback.format_exception(error)).rstrip()), file=sys.stderr, flush=True)


def flags_of_shown() -> tuple[str, ...] | None:
    """The options of all commands, such as ``--quiet``, with which a command shows as much; None where nothing is."""
    return _FLAGS.get()


@contextmanager
def shown(*, quiet: bool = False, verbose: bool = False, silent: bool = False, debug: bool = False) -> Iterator[None]:
    """Within it the library's log goes to stderr, and its progress is shown there.

    Args:
        quiet: whether warnings alone are shown, and no progress.
        verbose: whether lines of the level DEBUG are shown, too.
        silent: whether nothing but results is shown, as by a process whose work another one reports.
        debug: whether other processes that do this work show the traceback of an error.
    """
    given = {"--quiet": quiet, "--verbose": verbose, "--debug": debug}
    flags = _FLAGS.set(tuple(flag for flag, is_given in given.items() if is_given))
    logger, before, before_silent = logging.getLogger("faster_rcnn"), _QUIET.set(quiet), _SILENT.set(silent)
    level, handler = logger.level, _LogLines()
    nested = any(isinstance(each, _LogLines) for each in logger.handlers)  # then its lines are shown already
    if not nested:
        logger.addHandler(handler)
    lowest = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
    logger.setLevel(logging.CRITICAL if silent else lowest)
    try:
        with displaying(None if quiet or silent else ConsoleDisplay()):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        _QUIET.reset(before)
        _SILENT.reset(before_silent)
        _FLAGS.reset(flags)


def shown_if(progress: bool) -> AbstractContextManager[None]:
    """A context that shows progress and the log where ``progress`` is true."""
    return shown() if progress else nullcontext()


def while_shown(items: Iterator[Item]) -> Iterator[Item]:
    """Pass the items on, and show progress and the log until they end."""
    with shown():
        yield from items


class _LogLines(logging.Handler):
    """Shows what the library logs as the command shows its own messages and warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line on stderr."""
        if record.levelno >= logging.WARNING:
            warn(record.getMessage())
        elif record.levelno >= logging.INFO:
            say(record.getMessage())
        else:
            say(f"{record.name.removeprefix('faster_rcnn.')}: {record.getMessage()}")


class ConsoleDisplay:
    """Shows the progress of work on stderr: a bar on a terminal, a line every so often in a log."""

    def __init__(self, seconds: float = SECONDS_BETWEEN_LINES) -> None:
        """``seconds``: time between two lines of a log."""
        self._seconds = seconds

    @contextmanager
    def meter(self, label: str, total: int | None, done: int, passing: bool) -> Iterator[Meter]:
        """Show a piece of work; a log has no last line of ``passing`` work, and a bar of it is removed."""
        if sys.stderr.isatty():
            with Bars(console=Console(stderr=True), transient=passing) as bars:
                yield BarMeter(bars, bars.add_task(printable(label), total=total, completed=done, values={}))
            return
        log = LogMeter(label, total, self._seconds, done)
        yield log
        if not passing:
            log.finish()


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
