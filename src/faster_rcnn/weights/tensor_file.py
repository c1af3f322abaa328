"""Reader of safetensors files, which reads a file once through one descriptor, from the first byte to the last.

The format: 8 bytes with the length of a header, the header in JSON (metadata, and for each tensor its type, shape and
place), the tensors. The package ``safetensors`` writes these files. It reads them by mapping them into memory, where a
file that another process replaces meanwhile ends this process with SIGBUS or gives half of one model and half of
another. This reader does neither, and it reads each tensor directly into the memory of the model.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.system.files import open_file

KINDS = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Types of tensors by their names in a header."""

MAX_HEADER = 100_000_000
"""Maximum number of bytes of a header; the limit of the package ``safetensors``."""

MAX_DIMENSIONS, MAX_SIDE = 16, 2**31
"""Maximum number of dimensions of a tensor, and maximum size of a dimension."""

CHUNK = 2**20
"""Bytes that are read at once where only the checksum needs them."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Type, shape and place of a tensor in a file."""

    kind: torch.dtype
    shape: tuple[int, ...]
    start: int
    """Position of its first byte, counted from the end of the header."""
    end: int
    """Position after its last byte."""


class TensorFile:
    """An open file whose header has been read and checked; its tensors are read in the order of their places."""

    def __init__(self, stream: BufferedIOBase, source: Path | str, size: int) -> None:
        """Read the header of a file of ``size`` bytes; messages call it ``source``.

        Raises:
            ModelFileError: the file is not a safetensors file, or is incomplete or damaged (E123).
        """
        self.source = source
        self._stream = stream
        self.header = _read_header(stream, source, size)
        """Bytes of the header, including the 8 bytes of its length."""
        entries = _parsed(self.header[8:], source)
        self.metadata = _metadata(entries.pop("__metadata__", {}), source)
        """Texts of the metadata by name."""
        stored = [(name, _stored(name, entry, source)) for name, entry in entries.items()]
        self.tensors = dict(sorted(stored, key=lambda each: (each[1].start, each[1].end)))
        """Tensors by name, in the order of their places."""
        end = 0
        for name, each in self.tensors.items():
            if each.start != end:
                raise _damaged(source, f"the place of tensor '{name:.80}' does not follow on the one before")
            end = each.end
        if end != size - len(self.header):
            raise _incomplete(source)

    def fill(self, tensor: Tensor) -> memoryview:
        """Read the next tensor into ``tensor``, contiguous on the CPU, of its type and shape; returns the bytes."""
        content = memoryview(tensor.detach().reshape(-1).view(torch.uint8).numpy().data)
        if self._stream.readinto(content) != len(content):
            raise _incomplete(self.source)
        return content

    def rest(self) -> Iterator[bytes]:
        """Read the remaining bytes in pieces."""
        while piece := self._stream.read(CHUNK):
            yield piece


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file for reading, and check at the end that it has not changed meanwhile.

    Raises:
        ModelFileError: it cannot be read, is not a regular file (a pipe, for example), or has changed (E123).
    """
    try:
        with open_file(path) as stream:
            before = os.fstat(stream.fileno())
            yield stream
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror or error}", code="E123") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ModelFileError(f"{path} was changed while it was read; nothing was loaded, load it again", code="E123")


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open a safetensors file; raises ``ModelFileError`` as ``opened`` and ``TensorFile`` do."""
    with opened(path) as stream:
        yield TensorFile(stream, path, size_of(stream))


def size_of(stream: BufferedIOBase) -> int:
    """Size of an open file in bytes."""
    return os.fstat(stream.fileno()).st_size


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the metadata and all tensors of any safetensors file by name; raises as ``open_tensors`` does."""
    with open_tensors(path) as file:
        found = {}
        for name, each in file.tensors.items():
            try:
                found[name] = torch.empty(each.shape, dtype=each.kind)
            except RuntimeError as error:  # more elements than memory has room for, or than 64 bits can count
                raise _damaged(path, f"tensor '{name:.80}' has the shape {each.shape}") from error
            file.fill(found[name])
    return file.metadata, found


def is_pointer(start: bytes) -> bool:
    """Whether a file that begins with these 9 bytes is a pointer of Git LFS to a file that was not downloaded."""
    return start == b"version h"


def _read_header(stream: BufferedIOBase, source: Path | str, size: int) -> bytes:
    start = stream.read(9)
    if is_pointer(start):
        raise ModelFileError(
            f"{source} is a pointer of Git LFS, not the file itself; fetch it: git lfs pull", code="E123"
        )
    length = int.from_bytes(start[:8], "little")
    if len(start) < 9 or not start.endswith(b"{") or length > MAX_HEADER:
        raise ModelFileError(f"{source} is not a safetensors file (it begins with {start!r})", code="E123")
    if 8 + length > size:
        raise _incomplete(source)
    header = start + stream.read(length - 1)
    if len(header) != 8 + length:
        raise _incomplete(source)
    return header


def _parsed(text: bytes, source: Path | str) -> dict[str, Any]:
    """Parse the JSON of a header, in which no name may occur twice."""
    try:
        entries = json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise _damaged(source, "it is nested too deeply") from error
    except ValueError as error:
        raise _damaged(source, str(error)) from error
    return dict(entries)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _metadata(value: object, source: Path | str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise _damaged(source, "its metadata are not texts")
    return value


def _stored(name: str, entry: object, source: Path | str) -> Stored:
    """Parse one entry of a header, whose number of bytes must fit its shape and type."""
    match entry:
        case dict() if len(entry) != 3:
            pass
        case {"dtype": str(kind), "shape": [*sides], "data_offsets": [int(start), int(end)]}:
            if kind not in KINDS:
                raise ModelFileError(
                    f"{source}: tensor '{name:.80}' holds {kind:.20}, a type that is not read; save it as float32",
                    code="E123",
                )
            sound = len(sides) <= MAX_DIMENSIONS and all(type(side) is int and 0 <= side <= MAX_SIDE for side in sides)
            if sound and start >= 0 and end - start == math.prod(sides) * KINDS[kind].itemsize:
                return Stored(KINDS[kind], tuple(sides), start, end)
    raise _damaged(source, f"the shape and the place of tensor '{name:.80}' do not fit")


def _damaged(source: Path | str, fault: str) -> ModelFileError:
    return ModelFileError(f"{source} is damaged: in its header, {fault}; nothing was loaded", code="E123")


def _incomplete(source: Path | str) -> ModelFileError:
    return ModelFileError(f"{source} is incomplete or damaged; was the copy interrupted?", code="E123")
