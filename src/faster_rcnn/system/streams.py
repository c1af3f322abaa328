"""Replacements for standard streams that are closed before the program begins, as by ``>&-``, or during its run."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from faster_rcnn.errors import MachineError

LAST_STANDARD_STREAM = 2


class ClosedStream(io.TextIOBase):
    """Replaces a closed standard output: writing to it raises an error, since the text would be lost."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        """Raise ``MachineError``."""
        raise MachineError("standard output is closed, so the result is lost; send it to a file: > FILE")


class Terminal(io.TextIOWrapper):
    """A terminal for messages; where it is closed during a run, later messages are dropped."""

    def write(self, text: str, /) -> int:
        """Write ``text``; raises ``OSError`` for any fault but a closed terminal."""
        try:
            return super().write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Raise ``OSError`` for any fault but a closed terminal."""
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Redirect the terminal's file descriptor to the null device, with the text that is still buffered."""
        if error.errno != errno.EIO:
            raise error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)


def outlive_terminal() -> None:
    """Drop messages after their terminal was closed, instead of ending the work (``disown``)."""
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr.isatty():
        sys.stderr = Terminal(
            sys.stderr.buffer, encoding=sys.stderr.encoding, errors=sys.stderr.errors, line_buffering=True
        )


def open_standard_streams() -> None:
    """Replace each standard stream that is closed, so that no other file gets its number.

    Python has ``None`` for a stream that is closed, and the next file that is opened gets its number: a message of a
    C library would be written into that file.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= LAST_STANDARD_STREAM:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115  # for as long as the program runs
    if sys.stdout is None:
        sys.stdout = ClosedStream()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


@contextmanager
def writing_results() -> Iterator[None]:
    """Raise ``MachineError`` where standard output cannot be written to; a reader who went away is no fault."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        discard_stdout()
        raise MachineError(
            f"standard output: {error.strerror}, so results are lost; send them to a file where there is room"
        ) from error


def discard_stdout() -> None:
    """Redirect standard output to the null device, so that the interpreter's last flush does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
