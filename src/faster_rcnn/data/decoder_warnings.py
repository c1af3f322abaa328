"""Capture of the warnings that C libraries print while they decode an image, so that the file can be named.

libjpeg and libtiff write warnings to the C library's ``stderr``, without the file's name. While an image is decoded,
that stream is replaced by a stream in memory; the file descriptor, which Python writes to, is not touched.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

_LOCK = threading.Lock()


class _Stream(NamedTuple):
    """A stream of the C library that writes to memory."""

    libc: ctypes.CDLL
    stderr: ctypes.c_void_p
    """The C library's variable."""
    file: int
    text: ctypes.c_void_p
    length: ctypes.c_size_t


@cache
def _memory_stream() -> _Stream | None:
    """The stream that replaces ``stderr``; ``None`` on systems whose C library has no memory streams.

    It is never closed, since another thread may be writing to it; it keeps only the warnings of damaged files.
    """
    try:
        libc = ctypes.CDLL(None)
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        libc.open_memstream.restype = ctypes.c_void_p
    except (AttributeError, OSError, TypeError, ValueError):
        return None
    libc.fflush.argtypes = (ctypes.c_void_p,)
    text, length = ctypes.c_void_p(), ctypes.c_size_t()
    file = libc.open_memstream(ctypes.byref(text), ctypes.byref(length))
    return _Stream(libc, stderr, file, text, length) if file else None


@contextmanager
def decoder_warnings() -> Iterator[list[str]]:
    """Give a list that holds, after the block, the lines that C libraries wrote to ``stderr`` within it."""
    lines: list[str] = []
    stream = _memory_stream()
    if stream is None:
        yield lines
        return
    with _LOCK:
        before, own = stream.length.value, stream.stderr.value
        stream.stderr.value = stream.file
        try:
            yield lines
        finally:
            stream.stderr.value = own
            stream.libc.fflush(stream.file)
            written = stream.length.value - before
            if written and stream.text.value is not None:
                text = ctypes.string_at(stream.text.value + before, written)
                lines += text.decode(errors="replace").splitlines()
