"""Files that are either there and whole, or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faster_rcnn.errors import MachineError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk, the quota or the largest file size is used up."""

TORCH_SAVE = "inline_container"
"""In the RuntimeError by which torch.save tells, without a number, that it could not write."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of ``path`` to write to; at the end it takes the place of ``path``.

    The content is on the disk before the name is, so that a crash or a power cut leaves the old file or the new one.
    After any failure the old file is still there and the temporary one is not. Raises ``MachineError`` where the
    disk is full or may not be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:
        fault = _fault(error, path)
        if fault is None:
            raise
        raise fault from error
    finally:
        with suppress(OSError):
            temporary.unlink()


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
    kept = "; the old file is kept" if path.exists() else ""
    if (isinstance(error, OSError) and error.errno in NO_SPACE) or TORCH_SAVE in str(error):
        return MachineError(f"no space left to write {path}{kept}; free some and run the command again", code="E133")
    if isinstance(error, OSError):
        return MachineError(f"cannot write {path}: {error.strerror or error}{kept}")
    return None
