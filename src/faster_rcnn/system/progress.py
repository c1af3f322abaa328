"""Progress of long work: the library counts steps, and shows nothing unless a display is installed.

The command installs the display of its terminal (``console.shown``), and ``Detector`` does where a user asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")


@runtime_checkable
class Meter(Protocol):
    """Counts the steps of one piece of work."""

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        """Count steps; ``values`` are shown beside them, by name."""


@runtime_checkable
class Display(Protocol):
    """Shows the progress of work, as a bar or as lines of a log."""

    def meter(self, label: str, total: int | None, done: int, passing: bool) -> AbstractContextManager[Meter]:
        """Begin to show a piece of work; see ``progress`` for the arguments."""


class NoMeter:
    """The meter of work that nothing shows."""

    def advance(self, values: Mapping[str, float] | None = None, steps: int = 1) -> None:
        """Do nothing."""


_DISPLAY: ContextVar[Display | None] = ContextVar("display", default=None)
"""What shows progress in this thread; set by ``displaying``."""


@contextmanager
def displaying(display: Display | None) -> Iterator[None]:
    """Within it ``display`` shows the progress of all work; ``None`` shows nothing."""
    before = _DISPLAY.set(display)
    try:
        yield
    finally:
        _DISPLAY.reset(before)


@contextmanager
def progress(label: str, total: int | None, *, done: int = 0, passing: bool = False) -> Iterator[Meter]:
    """Count work of ``total`` steps, or of an unknown number of steps (``None``).

    Args:
        label: what is done.
        total: number of steps.
        done: steps that were made earlier: they count, and the time left is not worked out from them.
        passing: whether another message announces the end of the work, so that the display removes its own.
    """
    display = _DISPLAY.get()
    if display is None:
        yield NoMeter()
        return
    with display.meter(label, total, done, passing) as meter:
        yield meter


def counted(items: Iterable[Item], label: str, total: int | None) -> Iterator[Item]:
    """Yield the same items, one by one, and count them as they pass."""
    with progress(label, total) as meter:
        for item in items:
            yield item
            del item  # not held while the next one is made: it may be an image of a gigabyte
            meter.advance()
