"""Files that others wrote, opened for reading: what is no file, such as a named pipe, is refused instead of awaited."""

from __future__ import annotations

import errno
import os
import re
import stat
from io import BufferedReader
from pathlib import Path

_HANDED_OVER = re.compile(r"/dev/stdin|/(dev|proc/self)/fd/[0-9]+")
"""Streams that whoever started this process opened for it: ``-`` of a shell's ``<``, and its ``<(command)``."""


def open_file(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: there is no such file, or it is none: to open a pipe waits for its writer, and a device never ends.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # zero bytes, and surrogates that stand for no byte
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a file; save its content in a file", str(path))
    return path.open("rb")


def read_bytes(path: Path) -> bytes:
    """The content of a regular file; raises ``OSError`` as ``open_file`` does."""
    with open_file(path) as file:
        return file.read()


def read_argument(path: Path) -> bytes:
    """The content of a file that the command line names and that is read once, so that ``<(command)`` is one, too.

    Raises:
        OSError: as ``open_file`` does, also for named pipes that lie in a folder.
    """
    return path.read_bytes() if _HANDED_OVER.fullmatch(str(path)) else read_bytes(path)


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"
