"""Atomic writing of files: a file is written under a temporary name beside its place, then renamed.

A link is followed, so that it stays and its target is replaced. Anything that is not a regular file (a pipe, a device,
an open file such as ``/dev/fd/63``) is written to, and never replaced.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO

from faster_rcnn.errors import MachineError
from faster_rcnn.system.locking import NO_LINK, lock

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, a used-up quota, or a file of the largest size that is allowed."""

_TORCH_SAVE = "inline_container"
"""Part of the message of the RuntimeError, without an error number, that torch.save raises when it cannot write."""

_MAX_LINKS = 40
"""Maximum number of links that are followed one after the other; Linux has the same limit."""

_PART = re.compile(r"\.[0-9]+-[0-9a-f]{8}\.part")
"""Names of temporary files: the id of the writing process, and a random number."""

_LOG = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary file to write into; at the end its content replaces ``path``, or is copied into that stream.

    The content is on the disk before the name is, so that a crash or a power cut leaves the old file or the new one.
    After any failure the old file is still there, the temporary file is removed, and a stream has received nothing.
    The permissions of a replaced file are kept. Temporary files that killed processes left in the folder are removed.

    Raises:
        MachineError: the disk is full (E133) or may not be written to.
    """
    with as_machine_error(path), _copied_into(path) if is_stream(path) else _renamed_to(path, _flush) as temporary:
        _remove_abandoned(temporary.parent)
        yield temporary


@contextmanager
def quick_write(path: Path) -> Iterator[Path]:
    """Write a file as ``atomic_write`` does, but without waiting for the disk: a power cut may leave it empty."""
    with as_machine_error(path), _renamed_to(path, lambda _: None) as temporary:
        yield temporary


def is_stream(path: Path) -> bool:
    """Whether a path, or the target of a link, cannot be replaced: it is an open file, a pipe or a device."""
    if _open_file(path) is not None:
        return True
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def open_stream(path: Path) -> BinaryIO:
    """Open a stream for writing; a named pipe waits for its reader."""
    number = _open_file(path)
    # Without O_CREAT, which Linux refuses for other users' pipes in /tmp; a duplicate writes on after its owner.
    return os.fdopen(os.open(path, os.O_WRONLY) if number is None else os.dup(number), "wb")


def refuse_unwritable(path: Path) -> None:
    """Raise ``MachineError`` where the file ``path`` could not be written.

    Nothing is changed, except that temporary files of killed processes are removed from that folder.
    """
    with as_machine_error(path):
        if is_stream(path):
            if _open_file(path) is None and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return  # opening a pipe would wait for its reader
        place = Path(os.path.realpath(path))
        with _folders_for_now(place.parent):
            _remove_abandoned(place.parent)
            _try_to_write(place)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raises ``MachineError`` where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make the folder {path}: {error.strerror or error}") from error


@contextmanager
def as_machine_error(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a ``MachineError`` that names ``path``; ``BrokenPipeError`` passes unchanged."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as error:
        fault = _fault(error, path)
        if fault is None:
            raise
        raise fault from error


def _remove_abandoned(folder: Path) -> None:
    """Remove this user's temporary files of ``atomic_write`` whose writer was killed, since no process locks them.

    On a file system without locks they stay.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for each in entries:
            if _PART.fullmatch(each.name) and each.is_file(follow_symlinks=False):
                _remove_if_abandoned(each.path)


def _remove_if_abandoned(path: str) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | NO_LINK)
        try:
            if lock(descriptor) and os.fstat(descriptor).st_uid == os.geteuid():
                os.unlink(path)
                _LOG.info("removed %s, which a killed process left half-written", path)
        finally:
            os.close(descriptor)


@contextmanager
def _renamed_to(path: Path, flush: Callable[[Path], None]) -> Iterator[Path]:
    place = Path(os.path.realpath(path))
    place.parent.mkdir(parents=True, exist_ok=True)
    with _part_in(place.parent) as temporary:
        yield temporary
        flush(temporary)
        with suppress(FileNotFoundError):
            shutil.copymode(place, temporary)
        temporary.replace(place)
        flush(place.parent)


@contextmanager
def _copied_into(path: Path) -> Iterator[Path]:
    """Write a file elsewhere and copy it: some formats are not written from their beginning to their end."""
    with _part_in(Path(tempfile.gettempdir()), mode=0o600) as temporary:
        yield temporary
        with temporary.open("rb") as content, open_stream(path) as stream:
            shutil.copyfileobj(content, stream)


@contextmanager
def _part_in(folder: Path, mode: int = 0o666) -> Iterator[Path]:
    """Make an empty file with a new name, in the folder of the file that it becomes: only there is a rename atomic.

    It is locked where the file system can, so that no other process takes it for an abandoned file.
    """
    path, descriptor = _new_part(folder, mode)
    try:
        yield path
    finally:
        with suppress(OSError):
            path.unlink()
        if descriptor is not None:
            os.close(descriptor)


def _new_part(folder: Path, mode: int) -> tuple[Path, int | None]:
    """Make a new file; its descriptor is given where that holds a lock."""
    while True:
        path = folder / f".{os.getpid()}-{secrets.token_hex(4)}.part"  # short, since the length of names is limited
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            locked = lock(descriptor)
        except OSError:
            os.close(descriptor)  # Windows renames no open file
            return path, None
        if locked and path.exists():
            return path, descriptor
        os.close(descriptor)  # another process removed it as abandoned before it was locked


@contextmanager
def _folders_for_now(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; the folders that were made are removed at the end."""
    missing = list(takewhile(lambda each: not os.path.lexists(each), (folder, *folder.parents)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in missing:
            with suppress(OSError):
                each.rmdir()


def _try_to_write(place: Path) -> None:
    """Raise ``OSError`` where a file cannot be made in this folder, or an old file not be written; nothing changes."""
    with suppress(FileNotFoundError):
        os.close(os.open(place, os.O_WRONLY))  # raises for a name that is too long, and for a folder
    with _part_in(place.parent):
        pass


def _open_file(path: Path) -> int | None:
    """The descriptor of this process's open file that a path means, such as ``/dev/stdout`` or ``/dev/fd/63``."""
    each = os.path.abspath(path)
    for _ in range(_MAX_LINKS):
        folder, name = os.path.split(each)
        if name.isdecimal() and os.path.realpath(folder) in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(name)
        if not os.path.islink(each):
            return None
        each = os.path.join(os.path.realpath(folder), os.readlink(each))
    return None


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; Windows offers neither."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fault(error: OSError | RuntimeError, path: Path) -> MachineError | None:
    """The error for a fault of the disk; ``None`` for a fault of another kind."""
    kept = "; the old file is kept" if os.path.isfile(path) else ""
    if (isinstance(error, OSError) and error.errno in _NO_SPACE) or _TORCH_SAVE in str(error):
        return MachineError(f"no space left to write {path}{kept}; free some and run the command again", code="E133")
    if isinstance(error, OSError):
        return MachineError(f"cannot write {path}: {error.strerror or error}{kept}")
    return None
