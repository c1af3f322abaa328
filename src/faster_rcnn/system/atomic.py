"""Files that are either there and whole, or not there: written beside their place, then renamed into it.

A link is followed, so that it stays and its target is replaced. What is no regular file (a pipe, a device, an open
file such as ``/dev/fd/63``) is written to, and never replaced.
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

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk, the quota or the largest file size is used up."""

TORCH_SAVE = "inline_container"
"""In the RuntimeError by which torch.save tells, without a number, that it could not write."""

MOST_LINKS = 40
"""As many as Linux follows."""

PART = re.compile(r"\.[0-9]+-[0-9a-f]{8}\.part")
"""Names of temporary files: the process that writes, and a random number."""

_LOG = logging.getLogger(__name__)


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file to write into; at the end what it holds takes the place of ``path``, or goes into that stream.

    The content is on the disk before the name is, so that a crash or a power cut leaves the old file or the new one.
    After any failure the old file is still there and the temporary one is not; a stream is given nothing. A file that
    is replaced passes on its permissions. Temporary files that killed processes left in the same folder are removed.
    Raises ``MachineError`` where the disk is full or may not be written.
    """
    with told_of(path), _copied_into(path) if is_stream(path) else _renamed_to(path, _flush) as temporary:
        remove_abandoned(temporary.parent)
        yield temporary


@contextmanager
def quick_write(path: Path) -> Iterator[Path]:
    """As ``atomic_write`` for a file, but without waiting for the disk: a power cut may leave it empty."""
    with told_of(path), _renamed_to(path, lambda _: None) as temporary:
        yield temporary


def is_stream(path: Path) -> bool:
    """Whether a path, or the target of a link, is no file that could be replaced: an open file, a pipe, a device."""
    if _open_file(path) is not None:
        return True
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def open_stream(path: Path) -> BinaryIO:
    """Open a stream for writing; a named pipe waits for its reader."""
    number = _open_file(path)
    # Without O_CREAT, which Linux refuses for other users' pipes in /tmp; a duplicate goes on where the owner stopped.
    return os.fdopen(os.open(path, os.O_WRONLY) if number is None else os.dup(number), "wb")


def refuse_unwritable(path: Path) -> None:
    """Raise ``MachineError`` where no file ``path`` could be written.

    Leaves everything as it was, but for temporary files that killed processes left in that folder.
    """
    with told_of(path):
        if is_stream(path):
            if _open_file(path) is None and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return  # opening a pipe would wait for its reader
        place = Path(os.path.realpath(path))
        with _folders_for_now(place.parent):
            remove_abandoned(place.parent)
            _try_to_write(place)


def make_folder(path: Path) -> None:
    """Make a folder and those above it; raises ``MachineError`` where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make the folder {path}: {error.strerror or error}") from error


@contextmanager
def told_of(path: Path) -> Iterator[None]:
    """What goes wrong with the disk becomes a ``MachineError`` that names ``path``; a reader's leaving stays itself."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as error:
        fault = _fault(error, path)
        if fault is None:
            raise
        raise fault from error


def remove_abandoned(folder: Path) -> None:
    """Remove this user's temporary files of ``atomic_write`` whose writer was killed: nobody holds their lock.

    Where the file system has no locks they stay.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for each in entries:
            if PART.fullmatch(each.name) and each.is_file(follow_symlinks=False):
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
    """By way of a file elsewhere: some formats are not written from their beginning to their end."""
    with _part_in(Path(tempfile.gettempdir()), mode=0o600) as temporary:
        yield temporary
        with temporary.open("rb") as content, open_stream(path) as stream:
            shutil.copyfileobj(content, stream)


@contextmanager
def _part_in(folder: Path, mode: int = 0o666) -> Iterator[Path]:
    """An empty file with a name of its own, in the folder of the file that it becomes: only there a rename is whole.

    It is locked, as far as the file system can, so that no other process takes it for one that was left behind.
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
    """A new file, and its descriptor where that holds a lock."""
    while True:
        path = folder / f".{os.getpid()}-{secrets.token_hex(4)}.part"  # short, for names have a longest
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            locked = lock(descriptor)
        except OSError:
            os.close(descriptor)  # Windows renames no open file
            return path, None
        if locked and path.exists():
            return path, descriptor
        os.close(descriptor)  # taken for an abandoned one before it was locked


@contextmanager
def _folders_for_now(folder: Path) -> Iterator[None]:
    """Make a folder and those above it, and remove at the end what was made."""
    missing = list(takewhile(lambda each: not os.path.lexists(each), (folder, *folder.parents)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        for each in missing:
            with suppress(OSError):
                each.rmdir()


def _try_to_write(place: Path) -> None:
    """Raise ``OSError`` where a file cannot be made in this folder, or the old one not be written; changes nothing."""
    with suppress(FileNotFoundError):
        os.close(os.open(place, os.O_WRONLY))  # also a name that is too long, and a folder
    with _part_in(place.parent):
        pass


def _open_file(path: Path) -> int | None:
    """The number of this process's open file that a path such as ``/dev/stdout`` or ``/dev/fd/63`` stands for."""
    each = os.path.abspath(path)
    for _ in range(MOST_LINKS):
        folder, name = os.path.split(each)
        if name.isdecimal() and os.path.realpath(folder) in ("/dev/fd", f"/proc/{os.getpid()}/fd"):
            return int(name)
        if not os.path.islink(each):
            return None
        each = os.path.join(os.path.realpath(folder), os.readlink(each))
    return None


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; Windows offers this for neither."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fault(error: OSError | RuntimeError, path: Path) -> MachineError | None:
    """What went wrong with the disk, in one line; ``None`` for a fault of another kind."""
    kept = "; the old file is kept" if os.path.isfile(path) else ""
    if (isinstance(error, OSError) and error.errno in NO_SPACE) or TORCH_SAVE in str(error):
        return MachineError(f"no space left to write {path}{kept}; free some and run the command again", code="E133")
    if isinstance(error, OSError):
        return MachineError(f"cannot write {path}: {error.strerror or error}{kept}")
    return None
