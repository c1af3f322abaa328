"""What the pass over all files learns about each picture: content, type, damage, and a hash that near copies share."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from PIL import Image
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from faster_rcnn.data.decode import decode_image, image_header
from faster_rcnn.data.opening import NamedBytes
from faster_rcnn.data.workers import begin_reading, started, workers_here
from faster_rcnn.errors import ImageError
from faster_rcnn.structures import ImageSize
from faster_rcnn.system.files import open_file
from faster_rcnn.system.progress import progress
from faster_rcnn.system.threads import processors

SIDE = 32
"""Width and height of the grey thumbnail by which near copies are confirmed."""
BATCH = 8
"""Pictures that a process reads before it hands its facts over."""
FEW = 64
"""Number of pictures up to which no process is started: starting one takes as long as reading them."""
_BENIGN = re.compile(r"extraneous bytes|sRGB|iCCP|cHRM|gAMA|tag|zTXt", re.IGNORECASE)
"""Remarks of decoders about what is no damage of the pixels."""


class Picture(NamedTuple):
    """The facts about one file."""

    size: ImageSize | None
    """Size of the upright image; ``None`` where the header cannot be read."""
    orientation: int = 1
    """EXIF: 1 is upright as stored."""
    conversion: str | None = None
    """The conversion to upright 8-bit RGB that reading it does."""
    type: str = ""
    """The type of its content, as Pillow names it."""
    fault: tuple[str, str] | None = None
    """Code and message of the reason why it cannot be used."""
    remark: str | None = None
    """What the decoder remarked on an image that is complete."""
    digest: bytes = b""
    """Digest of the file's bytes."""
    hash: int = 0
    """64-bit difference hash: which of two neighbours is brighter, in 8 rows of 9 points (Krawetz, 2013)."""
    thumbnail: bytes = b""
    """Grey values of ``SIDE`` x ``SIDE`` points."""
    bytes: int = 0
    """Size of the file."""


class _OfBytes(TypedDict):
    """The facts that every file has that can be read."""

    digest: bytes
    bytes: int


def read_pictures(paths: Sequence[Path], max_pixels: int) -> list[Picture]:
    """The facts about files, in their order; several processes read them, and progress is counted.

    Raises:
        MachineError: a process that reads images ended.
    """
    workers = workers_here(0 if len(paths) <= FEW else processors())
    loader: DataLoader[Picture] = DataLoader(
        _Files([str(path) for path in paths], max_pixels),
        batch_size=BATCH,
        num_workers=workers,
        worker_init_fn=begin_reading,
        collate_fn=list,
        generator=Generator(),  # its own one: the global state of the caller's process stays as it is
    )
    found: list[Picture] = []
    with progress("checking images", len(paths), passing=True) as meter:
        for batch in started(loader):
            found += batch
            meter.advance(steps=len(batch))
    return found


class _Files(Dataset[Picture]):
    """Maps an index to the facts about a file."""

    def __init__(self, paths: list[str], max_pixels: int) -> None:
        self._paths, self._max_pixels = paths, max_pixels

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Picture:
        return read_picture(Path(self._paths[index]), self._max_pixels)


def read_picture(path: Path, max_pixels: int) -> Picture:
    """The facts about one file, which is read and decoded once."""
    try:
        with open_file(path) as stream:
            content = NamedBytes(stream.read(), path.name)
    except OSError as error:
        return Picture(None, fault=("E104", f"cannot read {path.name}: {error.strerror}"))
    known: _OfBytes = {"digest": hashlib.blake2b(content, digest_size=16).digest(), "bytes": len(content)}
    try:
        header = image_header(content, max_pixels)
    except ImageError as error:
        return Picture(None, fault=(error.code or "E105", error.text), **known)
    seen = Picture(header.size, header.orientation, header.conversion, header.type, **known)
    try:
        decoded = decode_image(content, max_pixels)
    except ImageError as error:
        return seen._replace(fault=("damaged", error.text))
    if decoded.damage is not None and not _BENIGN.search(decoded.damage):
        return seen._replace(fault=("damaged", decoded.damage))
    grey = _grey(decoded.pixels)
    thumbnail = grey.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()
    return seen._replace(remark=decoded.damage, hash=difference_hash(grey), thumbnail=thumbnail)


def difference_hash(grey: Image.Image) -> int:
    """64 bits, one for each pair of neighbours in 8 rows of 9 points: whether the right one is brighter."""
    points = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(points[:, 1:] > points[:, :-1]).tobytes(), "big")


def _grey(pixels: Tensor) -> Image.Image:
    # A side of more than 512 pixels is halved as often as that takes: neither hash nor thumbnail depends on it.
    step = max(1, min(pixels.shape[1:]) // 256)
    part = pixels[:, ::step, ::step].permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(part).convert("L")
