"""The size that the file of a film announces, so that a truncated film is known as one.

Three families of files hold nearly all films: boxes (MP4, MOV), chunks (AVI) and EBML (MKV, WebM). Each begins its
parts with their sizes. A part that ends behind the end of the file was cut off.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"pnot"))
"""Types of the boxes that an MP4 or MOV begins with."""
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_MAX_BOXES = 10_000
"""A fragmented film of hours has thousands of boxes; a damaged size of a few bytes would give millions."""


class Container(NamedTuple):
    """What the first bytes of a film tell."""

    size: int
    """Bytes of the file."""
    announced: int
    """Bytes that the file should have at least; equal to ``size`` where that is not known."""
    is_avi: bool
    """Whether it is an AVI, the one family whose number of frames is exact and whose decoder skips damage silently."""

    @property
    def is_truncated(self) -> bool:
        """Whether the end of the file is missing."""
        return self.announced > self.size


def container_of(path: Path) -> Container:
    """Read the sizes that a file announces; raises ``OSError`` where it cannot be read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(12)
        is_avi = head[:4] == b"RIFF" and head[8:] == b"AVI "
        if is_avi:
            announced = 8 + struct.unpack("<I", head[4:8])[0]
        elif head[4:8] in _BOXES:
            announced = _end_of_boxes(file, size)
        elif head[:4] == _EBML:
            announced = _end_of_segment(file)
        else:
            announced = 0
    return Container(size, max(size, announced), is_avi)


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    """The end of the last box of an MP4 or MOV, which lies behind ``size`` where the box was cut off."""
    end = 0
    for _ in range(_MAX_BOXES):
        file.seek(end)
        head = file.read(16)
        if end >= size or len(head) < 8:
            break
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        is_box = head[4:8].isascii() and head[4:8].isalnum()
        if length < 8 or not is_box:  # 0: up to the end of the file; or what follows the last box is none
            break
        end += length
    return end


def _end_of_segment(file: BinaryIO) -> int:
    """The end of the segment of an MKV or WebM; 0 where the size is not announced, as in a live recording."""
    file.seek(len(_EBML))
    header = _ebml_size(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return 0
    segment = _ebml_size(file)
    return 0 if segment is None else file.tell() + segment


def _ebml_size(file: BinaryIO) -> int | None:
    """A size of EBML: the number of leading zero bits is that of further bytes; ``None`` for an unknown one."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    further = 8 - first[0].bit_length()
    bits = 7 * (further + 1)
    value = int.from_bytes(first + file.read(further)) & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
