"""Division of images among splits: a validation share of the training images, and images that two splits share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from faster_rcnn.data.fingerprint import content_digest
from faster_rcnn.data.layout.listing import ListedImage, Listing
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.system.files import open_file

_SAMPLE = 4096
"""Bytes of a file that are compared before the whole file is compared."""


def share_out(train: Listing, share: float, seed: int) -> tuple[Listing, Listing]:
    """Divide the training images into a training and a validation split.

    The validation images are those with the smallest digests of seed and file name: when an image is added or removed,
    at most one other image changes sides.

    Raises:
        DatasetError: one of the two splits would be empty (E115).
    """
    count = round(share * len(train.images))
    if not 0 < count < len(train.images):
        raise DatasetError(
            f"data.val_share={share:g} of {len(train.images)} training images is {count}, so one side would be empty; "
            "choose another share, or add images",
            code="E115",
        )
    chosen = {id(image) for image in sorted(train.images, key=lambda image: _digest(image, seed))[:count]}
    note = (
        f"{count} of {len(train.images)} training images are the validation split (data.val_share={share:g}, "
        f"chosen by seed {seed})"
    )
    rest = tuple(image for image in train.images if id(image) not in chosen)
    taken = tuple(image for image in train.images if id(image) in chosen)
    return replace(train, images=rest), replace(train, split="val", images=taken, notes=(note,))


def _digest(image: ListedImage, seed: int) -> bytes:
    text = f"{seed} {image.file_name}"
    try:
        encoded = text.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a name that no file can have; the image is excluded later, with the reason
        encoded = text.encode(errors="surrogatepass")
    return hashlib.blake2b(encoded, digest_size=8).digest()


def shared_images(splits: Mapping[str, Sequence[Path]]) -> list[str]:
    """A warning for each pair of splits that share images, by the bytes of their files."""
    warnings = []
    for first, second in combinations(splits, 2):
        same = _also_in(splits[second], splits[first])
        if same:
            warnings.append(
                f"{len(same)} of {len(splits[second])} images of {second} are in {first}, too: "
                f"{first_of(path.name for path in same)}; AP of {second} does not measure new images while they are"
            )
    return warnings


def _also_in(images: Sequence[Path], others: Sequence[Path]) -> list[Path]:
    """The images whose bytes are also those of another file; sizes are compared first, so that few files are read."""
    same = set(images) & set(others)
    mine, theirs = set(images) - same, set(others)
    for key in (_file_size, _middle, _content):
        if not mine:
            break
        values, targets = {path: key(path) for path in mine}, {path: key(path) for path in theirs}
        shared = (set(values.values()) & set(targets.values())) - {None}
        mine = {path for path, value in values.items() if value in shared}
        theirs = {path for path, value in targets.items() if value in shared}
    return [path for path in images if path in same or path in mine]


def _file_size(path: Path) -> object:
    try:
        return path.stat().st_size
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None


def _middle(path: Path) -> object:
    """Some bytes of the middle of a file, since uncompressed images have equal sizes."""
    try:
        with open_file(path) as stream:
            stream.seek(path.stat().st_size // 2)
            return stream.read(_SAMPLE)
    except OSError:
        return None


def _content(path: Path) -> object:
    try:
        return content_digest(path)
    except DatasetError:
        return None
