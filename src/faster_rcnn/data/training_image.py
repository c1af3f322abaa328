"""One training image: read, changed by the user's transform, resized and augmented.

Everything random about it is a function of (seed, epoch, index of the image).
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from faster_rcnn.data.augment import Labelled, draw, flip, jitter_scale, photometric, place_on_canvas
from faster_rcnn.data.batches import AUGMENTATION, TRANSFORM, image_seed
from faster_rcnn.data.decode import decode_image
from faster_rcnn.data.records import Split
from faster_rcnn.data.transform import Transform, transformed
from faster_rcnn.images import refuse_vanishing, rescale_proposals, rescale_truth, resize, size_of, target_size
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals


@dataclass(frozen=True, slots=True, eq=False)
class TrainingImage:
    """An augmented training image with its truth, as the model takes it."""

    pixels: UInt8[Tensor, "3 height width"] | Float[Tensor, "3 height width"]
    """RGB, resized: uint8, or float in 0..1 where the resize method is ``plain``."""
    truth: GroundTruth
    """Boxes in pixels of the resized image."""
    image_id: int | str
    seed: int
    """Seed of all sampling for this image in this epoch; below 2**63."""
    index: int
    """Index of the image's record in the split."""
    canvas: ImageSize
    """Size of the largest image of its step, which all processes pad their images to."""
    proposals: Proposals | None = None
    """External proposals of a Fast R-CNN, in pixels of the resized image."""
    damage: str | None = None
    """A line about damage that the decoder found in the file."""


def training_image(
    split: Split,
    index: int,
    image: ImageConfig,
    training: TrainingConfig,
    data: DataConfig,
    epoch: int,
    proposals: Proposals | None = None,
    canvas: ImageSize | None = None,
    transform: Transform | None = None,
) -> TrainingImage:
    """Read, transform, resize and augment one image of a split.

    ``proposals`` are external ones, in pixels of the original image. ``canvas`` is the size of the largest image of the
    step, by default that of this image.

    Raises:
        ImageError: it cannot be decoded.
        OptionError: ``transform`` fails (E139).
    """
    record = split.records[index]
    generator = Generator().manual_seed(image_seed(training.seed, epoch, index, AUGMENTATION))
    factor = jitter_scale(generator, *training.scale_jitter)
    pixels, _, damage = decode_image(record.path, data.max_pixels)
    one = Labelled(pixels, record.truth, proposals)
    if transform is not None:
        one = _transformed(one, transform, split, index, image_seed(training.seed, epoch, index, TRANSFORM))
    refuse_vanishing(str(record.path), size_of(one.pixels), image.short_side, image.long_side)
    room = target_size(size_of(one.pixels), image.short_side, image.long_side, image.size_rounding)
    one = _resized(one, image, factor)
    if factor != 1:
        canvas = room
        one = place_on_canvas(one, canvas, image.mean, generator)
    if draw(generator) < training.flip:
        one = flip(one)
    pixels = photometric(one.pixels, training.photometric, generator)
    seed = image_seed(training.seed, epoch, index)
    canvas = canvas or size_of(pixels)
    return TrainingImage(pixels, one.truth, record.image_id, seed, index, canvas, one.proposals, damage)


def _transformed(one: Labelled, transform: Transform, split: Split, index: int, seed: int) -> Labelled:
    """The image as the user's transform returns it."""
    name, num_classes = str(split.records[index].path), len(split.classes)
    return Labelled(*transformed(transform, one.pixels, one.truth, num_classes=num_classes, seed=seed, image=name))


def _resized(one: Labelled, image: ImageConfig, factor: float) -> Labelled:
    sides = image.short_side * factor, image.long_side * factor
    small = resize(one.pixels, *sides, image.resize, image.size_rounding)
    before, after = size_of(one.pixels), size_of(small)
    truth = rescale_truth(one.truth, before, after)
    moved = None if one.proposals is None else rescale_proposals(one.proposals, before, after)
    return Labelled(small, truth, moved)
