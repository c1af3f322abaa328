"""From images of any sizes to batches that the backbone reads: resized, normalized and padded (Fast R-CNN, 5.2).

A detector holds one ``Preparation``. Training pads the images of a batch to a common size; detection batches only
images of equal padded size, so that the detections of an image do not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.images import (
    is_large,
    normalise,
    pad_to_batch,
    padded,
    rescale_proposals,
    resize,
    size_of,
    target_size,
)
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import ImageBatch, ImageSize, Proposals

Boxes = TypeVar("Boxes")
"""A value with the boxes of one image, such as ``Proposals``."""
Rescale = Callable[[Boxes, ImageSize, ImageSize], Boxes]
"""Moves boxes from the frame of an image of one size to the frame of the same image at another size."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Images of one padded size, as a batch; they are some of the images that a caller gave."""

    indices: tuple[int, ...]
    """Index of each image in the caller's list."""
    originals: tuple[ImageSize, ...]
    """Size of each image before it was resized."""
    images: ImageBatch

    def resized(self, values: Sequence[Boxes], rescale: Rescale[Boxes]) -> list[Boxes]:
        """The values of this group's images out of the caller's list, moved to the frame of the resized images."""
        places = zip(self.indices, self.originals, self.images.sizes, strict=True)
        return [rescale(values[index], original, size) for index, original, size in places]

    def proposals(self, external: Sequence[Proposals] | None) -> list[Proposals] | None:
        """The external proposals of this group's images, if there are some, as ``resized`` moves them."""
        return None if external is None else self.resized(external, rescale_proposals)

    def in_originals(self, values: list[Boxes], rescale: Rescale[Boxes]) -> dict[int, Boxes]:
        """Values of the resized images in the frame of the original images, by index in the caller's list."""
        places = zip(self.indices, values, self.images.sizes, self.originals, strict=True)
        return {index: rescale(value, size, original) for index, value, size, original in places}


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a detector resizes, normalizes and pads its images."""

    image: ImageConfig
    stride: int
    """Largest stride of the body in pixels; images are padded to multiples of it unless the settings name another."""
    memory_format: torch.memory_format = torch.contiguous_format
    """Memory format of the pixels of a batch."""

    @property
    def multiple(self) -> int:
        """The number of pixels that the sides of a batch are multiples of."""
        return self.image.multiple_of or self.stride

    def padded_size(self, size: ImageSize) -> ImageSize:
        """Height and width of one image of the given size after resizing and padding."""
        image = self.image
        return padded(target_size(size, image.short_side, image.long_side, image.size_rounding), self.multiple)

    def resized(self, pixels: Tensor) -> Float[Tensor, "3 height width"]:
        """Resize and normalize one RGB image (3, H, W), uint8 or float in 0..1.

        The method ``plain`` normalizes before it resizes, as torchvision does. A large image is resized first in any
        case: the order changes only the last bits, and the normalized original would be four times as large.
        """
        rule = self.image.short_side, self.image.long_side, self.image.resize, self.image.size_rounding
        if self.image.resize == "plain" and not is_large(pixels):
            return resize(normalise(pixels, self.image.mean, self.image.std), *rule)
        return normalise(resize(pixels, *rule), self.image.mean, self.image.std)

    def batch(self, images: Sequence[Tensor], canvas: ImageSize | None = None) -> ImageBatch:
        """Normalize images that are resized already, uint8 or float in 0..1, and pad them to one batch.

        The batch holds the largest image and, where given, a ``canvas``.
        """
        return self.pad([normalise(each, self.image.mean, self.image.std) for each in images], canvas)

    def pad(self, images: Sequence[Float[Tensor, "3 _ _"]], canvas: ImageSize | None = None) -> ImageBatch:
        """Pad resized and normalized images to one batch, as ``batch`` does."""
        return pad_to_batch(images, self.multiple, self.memory_format, canvas)

    def groups(self, images: Sequence[Tensor]) -> Iterator[Group]:
        """Resize, normalize and group images (3, H, W) of any sizes: images of one padded size share a batch."""
        resized = [self.resized(each) for each in images]
        indices_of_size: dict[ImageSize, list[int]] = {}
        for index, image in enumerate(resized):
            indices_of_size.setdefault(padded(size_of(image), self.multiple), []).append(index)
        for indices in indices_of_size.values():
            originals = tuple(size_of(images[index]) for index in indices)
            yield Group(tuple(indices), originals, self.pad([resized[index] for index in indices]))
