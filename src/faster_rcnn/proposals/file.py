"""Files of precomputed proposals for the images of a data set.

A file of proposals is a safetensors file: ``boxes`` (all, 4) float32, (x1, y1, x2, y2) in pixels of the upright
original images, ``scores`` (all,) float32, ``counts`` (images,) int64, and one metadata key with JSON: format, method,
for each image its key, width, height and fingerprint, and the keys of images that could not be read. Keys are paths
relative to the root of the data set.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from faster_rcnn.errors import DatasetError, ModelFileError
from faster_rcnn.ops.boxes import inside
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ImageSize, Proposals
from faster_rcnn.system.atomic import atomic_write
from faster_rcnn.weights.tensor_file import read_tensors

METADATA_KEY = "faster_rcnn_proposals"
FORMAT = 1
"""Version of the format; higher versions are refused."""

MAX_SIDE = 2**31
"""Maximum side of an image in pixels; no format of images has longer sides."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageProposals:
    """Proposals of an image, best first, in pixels of the image at ``size``."""

    size: ImageSize
    proposals: Proposals
    fingerprint: int | None = None
    """CRC-32 of the image's file; ``None`` in files of proposals from before it was stored."""


@dataclass(frozen=True, slots=True, eq=False)
class ProposalFile:
    """The content of a file of proposals."""

    path: Path
    method: str
    images: Mapping[str, ImageProposals]
    unreadable: frozenset[str]
    """Keys of the images that could not be read when the proposals were made."""

    def refuse_missing(self, keys: Sequence[str], what: str) -> None:
        """Raise ``DatasetError`` (E136) where the file lacks images; ``what`` names the whole set in the message."""
        missing = [key for key in keys if key not in self.images and key not in self.unreadable]
        if missing:
            raise DatasetError(
                f"{self.path} has no proposals for {len(missing)} of the {len(keys)} images of {what} "
                f"({_some(missing)}); {_remedy()}",
                code="E136",
            )

    def refuse_empty(self, keys: Sequence[str], what: str) -> None:
        """Raise ``DatasetError`` (E136) where images have no proposal; ``what`` names the whole set in the message."""
        empty = [key for key in keys if key in self.images and len(self.images[key].proposals.boxes) == 0]
        if empty:
            raise DatasetError(
                f"{self.path}: no region was proposed for {len(empty)} of the {len(keys)} images of {what} "
                f"({_some(empty)}), so nothing can be found in them; leave these images out or {_remedy()}",
                code="E136",
            )

    def of(self, key: str, size: ImageSize, image: Path) -> Proposals:
        """Proposals of an image, at least one.

        Raises:
            DatasetError: the image is not in the file, has no proposals, or they were made of another image (E136).
        """
        found = self.known(key, size, image)
        if found is None:
            raise DatasetError(f"{self.path} has no proposals for '{key}'; {_remedy()}", code="E136")
        if len(found.boxes) == 0:
            raise DatasetError(
                f"{self.path}: no region was proposed for '{key}', so nothing can be found in it; leave the image out "
                f"or {_remedy()}",
                code="E136",
            )
        return found

    def known(self, key: str, size: ImageSize, image: Path) -> Proposals | None:
        """Proposals of an image, perhaps none; ``None`` for an image that is not in the file.

        Raises:
            DatasetError: they were made of an image of another size, or of other bytes than those of ``image`` (E136).
        """
        found = self.images.get(key)
        if found is None:
            return None
        if found.size != size:
            raise DatasetError(
                f"{self.path}: the proposals for '{key}' were made at {found.size.width} x {found.size.height} pixels, "
                f"the image has {size.width} x {size.height}; {_remedy()}",
                code="E136",
            )
        if found.fingerprint is not None and fingerprint(image) not in (None, found.fingerprint):
            raise DatasetError(
                f"{self.path}: the proposals for '{key}' were made of another image of that name and size than "
                f"{image}, so they do not fit it; {_remedy()}",
                code="E136",
            )
        return found.proposals


def fingerprint(image: Path) -> int | None:
    """CRC-32 of an image's file; ``None`` where it cannot be read, which the reader of images reports."""
    try:
        return zlib.crc32(image.read_bytes())
    except OSError:
        return None


def image_key(root: Path, image: Path) -> str:
    """Key of an image in a file of proposals: its path relative to the root of the data set."""
    return Path(os.path.relpath(image, root)).as_posix()


def save_proposals(
    path: Path, method: str, images: Mapping[str, ImageProposals], unreadable: Iterable[str] = ()
) -> None:
    """Write a file of proposals atomically; raises ``MachineError`` where that fails."""
    values = list(images.values())
    header = {
        "format": FORMAT,
        "method": method,
        "images": [[key, one.size.width, one.size.height] for key, one in images.items()],
        "fingerprints": [one.fingerprint for one in values],
        "unreadable": sorted(unreadable),
    }
    tensors = {
        "boxes": torch.cat([one.proposals.boxes for one in values] or [torch.zeros(0, 4)]).contiguous(),
        "scores": torch.cat([one.proposals.scores for one in values] or [torch.zeros(0)]).contiguous(),
        "counts": torch.tensor([len(one.proposals.boxes) for one in values], dtype=torch.int64),
    }
    content = save(tensors, metadata={METADATA_KEY: json.dumps(header)})
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def load_proposals(path: Path) -> ProposalFile:
    """Read a file of proposals; raises ``DatasetError`` (E136) for any other file, and for unusable boxes."""
    try:
        metadata, tensors = read_tensors(path)
        header = json.loads(metadata[METADATA_KEY])
        boxes, scores, counts = (tensors[name] for name in ("boxes", "scores", "counts"))
        if header["format"] > FORMAT:
            raise DatasetError(
                f"{path} was written by a newer faster-rcnn: pip install --upgrade faster-rcnn", code="E136"
            )
        method, images = str(header["method"]), _images_of(header, boxes, scores, counts)
        unreadable = frozenset(map(str, header.get("unreadable", ())))
    except (ModelFileError, KeyError, ValueError, TypeError, RuntimeError, OverflowError) as error:
        reason = "there is no such file" if not path.exists() else "it is not a file of proposals, or is damaged"
        raise DatasetError(f"{path} cannot be used: {reason}; {_remedy()}", code="E136") from error
    _refuse_bad_boxes(path, images.items())
    return ProposalFile(path, method, images, unreadable)


def _images_of(header: Mapping[str, Any], boxes: Tensor, scores: Tensor, counts: Tensor) -> dict[str, ImageProposals]:
    """Split the tensors by image.

    Raises:
        ValueError: a tensor has another shape or type, a score or size is unusable, or an image occurs twice.
    """
    if boxes.dtype != torch.float32 or boxes.shape != (len(boxes), 4):
        raise ValueError(f"boxes are {boxes.dtype} of shape {tuple(boxes.shape)}")
    if scores.dtype != torch.float32 or scores.shape != (len(boxes),) or not bool(scores.isfinite().all()):
        raise ValueError(f"scores are {scores.dtype} of shape {tuple(scores.shape)}, or not finite")
    entries = header["images"]
    fingerprints = header.get("fingerprints", [None] * len(entries))
    parts = zip(entries, fingerprints, boxes.split(counts.tolist()), scores.split(counts.tolist()), strict=True)
    found = {
        str(key): ImageProposals(_size_of(width, height), Proposals(own, score), mark)
        for (key, width, height), mark, own, score in parts
    }
    if len(found) < len(entries):
        raise ValueError("an image occurs twice")
    return found


def _size_of(width: object, height: object) -> ImageSize:
    """The size of an image; raises ``ValueError`` for anything but two integers in range."""
    if not (isinstance(width, int) and isinstance(height, int) and 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        raise ValueError(f"an image has {width} x {height} pixels")
    return ImageSize(height, width)


def _refuse_bad_boxes(path: Path, images: Iterable[tuple[str, ImageProposals]]) -> None:
    for key, one in images:
        boxes: Tensor = one.proposals.boxes
        sound = inside(boxes, one.size) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        if not bool(sound.all()):
            number = int((~sound).nonzero()[0, 0])
            raise DatasetError(
                f"{path}: proposal {number} of '{cut(key)}' is {boxes[number].tolist()}, no box inside the image of "
                f"{one.size.width} x {one.size.height} pixels; {_remedy()}",
                code="E136",
            )


def _some(keys: Sequence[str]) -> str:
    return ", ".join(f"'{key}'" for key in keys[:3]) + (" ..." if len(keys) > 3 else "")


def _remedy() -> str:
    return "make them anew: faster-rcnn proposals DATA --method selective-search --out FILE"
