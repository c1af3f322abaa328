"""Locks on files and folders of one living process; the system ends a lock with its process, however that ends.

A lock is ``flock`` on an open file. Windows and some network file systems have no locks: there nothing is locked.
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
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from faster_rcnn.errors import MachineError, OptionError

if sys.platform != "win32":
    import fcntl

LOCK = ".faster-rcnn.lock"
"""The file in a locked folder: it names process and machine, and is removed with the lock, except after a kill."""

NO_LINK = getattr(os, "O_NOFOLLOW", 0)
"""Refuses to open a link: this package makes none under the names of its own files."""

_BUSY = (errno.EACCES, errno.EAGAIN)
_HOLDER = re.compile(r"([0-9]+) (\S+)\n?")

_LOG = logging.getLogger(__name__)


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; ``False`` where this or another process has locked it already.

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
    """Make a folder and lock it against other processes that call this function; readers are not hindered.

    Folders that were made and are empty at the end are removed. A file system without locks causes a warning.

    Raises:
        OptionError: another process holds the folder (E132).
        MachineError: the folder cannot be made or written to.
    """
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        try:
            file = _taken(folder)
        except OSError as error:
            raise MachineError(
                f"--out {folder}: nothing can be written there: {error.strerror or error}; name another folder"
            ) from error
        try:
            yield
        finally:
            _release(file, folder / LOCK)
    finally:
        remove_empty(made)


def is_held(folder: Path) -> bool:
    """Whether a process holds the lock of a folder at this moment."""
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
    """Remove the folders that exist and are empty, one after the other."""
    for each in folders:
        with suppress(OSError):
            each.rmdir()


@dataclass(frozen=True, slots=True, eq=False)
class _LockFile:
    """A lock file that this process holds open."""

    descriptor: int


@cache
def _held() -> set[_LockFile]:
    """The lock files that this process holds open; a forked child closes them.

    An inherited descriptor would keep the lock alive in the child after this process has ended.
    """
    held: set[_LockFile] = set()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=partial(_close_all, held))
    return held


def _close_all(held: set[_LockFile]) -> None:
    while held:
        os.close(held.pop().descriptor)


def _release(file: _LockFile, path: Path) -> None:
    """Remove a lock file, unless another file has its name by now, and end the lock; does nothing in a forked child."""
    if file not in _held():
        return
    if _is_at(file.descriptor, path):
        with suppress(OSError):  # Windows removes no open file
            path.unlink()
    _held().remove(file)
    os.close(file.descriptor)


def _taken(folder: Path) -> _LockFile:
    """Make and lock the lock file of a folder; raises ``OptionError`` where another process holds it."""
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
        except FileNotFoundError:
            if folder.exists():
                raise
            continue  # another process made the folder and removed it again
        try:
            free = _locked_or_unlockable(descriptor, folder)
            if not free:
                raise OptionError(
                    f"{folder} is being written to by {_holder(path)}; wait for its end, or name another folder with "
                    "--out",
                    code="E132",
                )
            if _is_at(descriptor, path):  # otherwise its holder has just removed it
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"{os.getpid()} {platform.node()}\n".encode())
                file = _LockFile(descriptor)
                _held().add(file)
                return file
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
    """Whether an open file is the file that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    """The holder of a lock for a message, as far as the lock file names it."""
    try:
        found = _HOLDER.fullmatch(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    if found is None:
        return "another process"
    return f"process {found[1]}" + (f" of the machine {found[2]}" if found[2] != platform.node() else "")
