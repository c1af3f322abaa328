"""Files and folders that belong to one living process; the system ends a lock with its process, however that ends.

A lock is ``flock`` on an open file. Windows and some network file systems have none: there everything works without.
"""

from __future__ import annotations

import errno
import logging
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faster_rcnn.errors import MachineError, OptionError

if sys.platform != "win32":
    import fcntl

LOCK = ".faster-rcnn.lock"
"""The file in a locked folder; it holds the process and the machine, and goes with the lock, but after a kill."""

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Where a file that is opened under our own name is a link, it is not ours."""

_BUSY = (errno.EACCES, errno.EAGAIN)
_HOLDER = re.compile(r"([0-9]+) (\S+)\n?")

_LOG = logging.getLogger(__name__)


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; ``False`` where it is locked already, in this process or another one.

    A forked child that inherits the descriptor holds the lock, too. Raises ``OSError`` where files cannot be locked.
    """
    if sys.platform == "win32":
        raise OSError(errno.ENOTSUP, "Windows has no flock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise
    return True


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Makes a folder and keeps other processes that ask for this, too, out of it; readers are not hindered.

    What was made and is empty at the end is removed. Where the file system has no locks a warning says so.

    Raises:
        OptionError: another process holds the folder (E132).
        MachineError: the folder cannot be made, or not be written to.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        try:
            held = _Held(_taken(folder))
        except OSError as error:
            raise MachineError(
                f"--out {folder}: nothing can be written there: {error.strerror or error}; name another folder"
            ) from error
        try:
            yield
        finally:
            held.release(folder / LOCK)
    finally:
        remove_empty(made)


def is_held(folder: Path) -> bool:
    """Whether a process is the only writer of a folder at this moment."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not lock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of the folders that are there and empty, one after the other."""
    for each in folders:
        with suppress(OSError):
            each.rmdir()


class _Held:
    """An open lock file. A forked child closes it: the lock would outlive this process with the child."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._close)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def release(self, path: Path) -> None:
        """Remove the file, unless there is another one by now, and end the lock; does nothing in a forked child."""
        if self._descriptor is not None and _is_at(self._descriptor, path):
            with suppress(OSError):  # Windows removes no open file
                path.unlink()
        self._close()


def _taken(folder: Path) -> int:
    """The open lock file of a folder, which is made; raises ``OptionError`` where another process holds it."""
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
        except FileNotFoundError:
            if folder.exists():
                raise
            continue  # another process made the folder, found no use for it and removed it
        try:
            free = _locked_or_unlockable(descriptor, folder)
            if not free:
                raise OptionError(
                    f"{folder} is being written to by {_holder(path)}; wait for its end, or name another folder with "
                    "--out",
                    code="E132",
                )
            if _is_at(descriptor, path):  # else its holder has just removed it
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} {platform.node()}\n".encode())
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _locked_or_unlockable(descriptor: int, folder: Path) -> bool:
    try:
        return lock(descriptor)
    except OSError as error:
        _LOG.warning(
            "%s lies on a file system without locks (%s), so nothing keeps a second training out of it; start none",
            folder,
            error.strerror,
        )
        return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """Who holds a lock, as far as its file tells."""
    try:
        found = _HOLDER.fullmatch(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    if found is None:
        return "another process"
    return f"process {found[1]}" + (f" of the machine {found[2]}" if found[2] != platform.node() else "")
