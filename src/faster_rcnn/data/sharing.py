"""Dividing the images of a data set: a share of the training images for validation, and images in two splits."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from faster_rcnn.data.listing import ListedImage, Listing
from faster_rcnn.errors import DatasetError


def share_out(train: Listing, share: float, seed: int) -> tuple[Listing, Listing]:
    """The training images without a share for validation, and that share.

    Its images are those with the smallest digests of the seed and their file names: when an image is added or removed,
    at most one other image changes sides.

    Raises:
        DatasetError: no image would be left on one of the sides (E115).
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
    return hashlib.blake2b(f"{seed} {image.file_name}".encode(errors="surrogateescape"), digest_size=8).digest()
