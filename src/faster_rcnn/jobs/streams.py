"""Standard streams that were closed before the program began, as ``>&-`` closes them."""

from __future__ import annotations

import io
import os
import sys

from faster_rcnn.errors import MachineError

LAST_STANDARD_STREAM = 2


class ClosedStream(io.TextIOBase):
    """Stands for a standard output that is closed: what is written to it is lost, which is told."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        """Raise ``MachineError``."""
        raise MachineError("standard output is closed, so the result is lost; send it to a file: > FILE")


def open_standard_streams() -> None:
    """Give each of the three streams something to stand for it, and keep their numbers from other files.

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
