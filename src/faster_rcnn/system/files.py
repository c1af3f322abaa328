"""Opening of files that others wrote: a named pipe or a device is refused instead of waited for."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from io import BufferedReader
from pathlib import Path

MAX_PATH = 4096
"""Maximum length of a path in characters: no system has longer ones, and some comparisons of longer texts take minutes.
"""

_HANDED_OVER = re.compile(r"/dev/stdin|/(dev|proc/self)/fd/[0-9]+")
"""Paths of streams that the parent process has opened: standard input, and a shell's ``<(command)``."""

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
"""First bytes of a pointer file, which stands for a file whose content was not fetched."""
ABOUT_LFS = "it is a pointer of Git LFS, not the file itself; fetch that where it was cloned: git lfs pull"


def open_file(path: Path) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        OSError: the file does not exist, or is none: opening a pipe waits for its writer, and a device never ends.
    """
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # zero bytes, and surrogates that stand for no byte
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, f"it is {_kind(mode)}, not a file; save its content in a file", str(path))
    return path.open("rb")


def read_bytes(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as ``open_file`` does, and where the file is a pointer of Git LFS.
    """
    with open_file(path) as file:
        content = file.read()
    if content.startswith(LFS_POINTER):
        raise OSError(errno.ENODATA, ABOUT_LFS, str(path))
    return content


def read_argument(path: Path) -> bytes:
    """The content of a file of the command line, which is read once, so that it may also be ``<(command)``.

    Raises:
        OSError: as ``open_file`` does, also for named pipes that lie in a folder.
    """
    return path.read_bytes() if _HANDED_OVER.fullmatch(str(path)) else read_bytes(path)


def is_special(path: str) -> bool:
    """Whether a path is something other than a file or a folder: a named pipe, a socket, a device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def read_pipe(path: Path, seconds: float = 5.0) -> bytes | None:
    """The content of a pipe until its writers close it; ``None`` where no writer opens it for so many seconds."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    end = time.monotonic() + seconds
    with open(descriptor, "rb", buffering=0) as pipe:
        while (first := pipe.read(1)) == b"":  # no writer has it open; None means that a writer has not written yet
            if time.monotonic() > end:
                return None
            time.sleep(0.02)
        os.set_blocking(descriptor, True)
        return (first or b"") + pipe.readall()


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"
