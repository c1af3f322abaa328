"""Remarks on labelled images that are usable, but too few or too small for good results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import count

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.images import target_size
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import ImageSize

MIN_IMAGES, MIN_OBJECTS = 10, 50
"""With fewer images or objects, one detection more or less changes AP by points, and chance chooses the best epoch."""

SMALL = 4
"""Pixels of the resized image: half a step of the finest features, so that little is left of a smaller object."""
UNEVEN = 20
"""Quotient of the numbers of objects of two classes that is worth a remark."""


def few_objects(split: Split) -> list[str]:
    """A line where a split has too few images or objects for a reliable AP."""
    images = len(split.records)
    objects = sum(int((~record.truth.ignored).sum()) for record in split.records)
    if images >= MIN_IMAGES and objects >= MIN_OBJECTS:
        return []
    return [
        f"{split.name} has {images} image{'' if images == 1 else 's'} and {objects} objects: its AP changes by chance "
        f"from epoch to epoch; a comparison needs at least {MIN_IMAGES} images and {MIN_OBJECTS} objects"
    ]


def small_objects(split: Split, image: ImageConfig) -> list[str]:
    """A line about objects of at least a pixel and less than ``SMALL`` pixels of the resized image."""
    sides = _shorter_sides(split.records, image)[~torch.cat([record.truth.ignored for record in split.records])]
    small = sides[(sides >= 1) & (sides < SMALL)]
    if not len(small):
        return []
    return [
        f"{len(small)} of {len(sides)} objects of {split.name} ({len(small) / len(sides):.1%}) are smaller than "
        f"{SMALL} pixels at an image size of {image.short_side}, the smallest {float(small.min()):.1f}; they are "
        "hardly found (larger images: --image-size, or tiles)"
    ]


def uneven_classes(split: Split) -> list[str]:
    """A line where the commonest class of a split has very many more objects than its rarest one."""
    labels = Counter(label for record in split.records for label in record.truth.labels[~record.truth.ignored].tolist())
    if not labels:
        return []
    (most, many), (least, few) = labels.most_common()[0], labels.most_common()[-1]
    if many < UNEVEN * few:
        return []
    return [
        f"classes of {split.name} are uneven: {split.classes.name_of(most)} has {many:,} objects and "
        f"{split.classes.name_of(least)} {few:,}, {many // few:,} times fewer"
    ]


def tiny_boxes(split: Split, image: ImageConfig) -> list[str]:
    """A line about boxes that are smaller than a pixel of the resized image, since training drops such boxes."""
    sides = _shorter_sides(split.records, image)
    tiny = int((sides < 1).sum())
    if not tiny:
        return []
    return [
        f"{tiny} of {len(sides)} boxes of {split.name} are smaller than a pixel at an image size of "
        f"{image.short_side} and are not learnt, though they count in validation; {_remedy(split, image)}"
    ]


def _shorter_sides(records: Sequence[ImageRecord], image: ImageConfig) -> Float[Tensor, " boxes"]:
    """The shorter side of every box in pixels of the resized image."""
    scales = [
        [after / before for after, before in zip(_resized(record, image), record.size, strict=True)]
        for record in records
    ]
    counts = torch.tensor([len(record.truth.boxes) for record in records])
    boxes = torch.cat([record.truth.boxes for record in records])
    scale = torch.tensor(scales).repeat_interleave(counts, 0)
    sides = torch.stack([boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]], 1) * scale
    return sides.amin(1)


def _resized(record: ImageRecord, image: ImageConfig) -> ImageSize:
    return target_size(record.size, image.short_side, image.long_side, image.size_rounding)


def _remedy(split: Split, image: ImageConfig) -> str:
    """The smallest ``--image-size`` that leaves a pixel of each box; sides are rounded, so sizes are tried in turn."""
    small = [record for record in split.records if (_shorter_sides([record], image) < 1).any()]
    first = math.ceil(image.short_side / float(_shorter_sides(small, image).amin()))
    proportion = image.long_side / image.short_side
    for side in count(first):
        larger = image.model_copy(update={"short_side": side, "long_side": round(side * proportion)})
        if (_shorter_sides(small, larger) >= 1).all():
            break
    if side > max(min(record.size) for record in small):
        return f"remove them from the annotations, or enlarge the images: --image-size {side}"
    return f"with --image-size {side} none of them is"
