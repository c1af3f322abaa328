"""Batches of training images: the same images for the same seed, with any number of worker processes.

Everything random about an image is a function of (seed, epoch, index of the image), so neither the order of work nor
the number of workers changes it, and an interrupted epoch can continue in its middle.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from faster_rcnn.data.augment import Labelled, draw, flip, jitter_scale, photometric, place_on_canvas
from faster_rcnn.data.batches import AUGMENTATION, epoch_batches, image_seed, steps_of_epoch
from faster_rcnn.data.damage import DamagedImages
from faster_rcnn.data.decode import decode_image
from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.data.workers import begin_reading, started, workers_here
from faster_rcnn.errors import ImageError
from faster_rcnn.images import refuse_vanishing, rescale_proposals, rescale_truth, resize, size_of, target_size
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.structures import GroundTruth, ImageSize, Proposals, largest_of
from faster_rcnn.system.distributed import ALONE, Processes

_LOG = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True, eq=False)
class StepImages:
    """The images of one step."""

    own: tuple[TrainingImage, ...]
    """Those of this process, perhaps none."""
    ids: tuple[int | str, ...]
    """Ids of the images of all processes, at least one."""


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Takes the place of an image that cannot be decoded."""

    index: int
    message: str


def training_image(
    record: ImageRecord,
    image: ImageConfig,
    training: TrainingConfig,
    data: DataConfig,
    epoch: int,
    index: int,
    proposals: Proposals | None = None,
    canvas: ImageSize | None = None,
) -> TrainingImage:
    """Read, resize and augment one image; raises ``ImageError`` where it cannot be decoded.

    ``proposals`` are external ones, in pixels of the original image. ``canvas`` is the size of the largest image of the
    step, by default that of this image.
    """
    generator = Generator().manual_seed(image_seed(training.seed, epoch, index, AUGMENTATION))
    factor = jitter_scale(generator, *training.scale_jitter)
    one, damage = _resized(record, image, data, factor, proposals)
    if factor != 1:
        canvas = target_size(record.size, image.short_side, image.long_side, image.size_rounding)
        one = place_on_canvas(one, canvas, image.mean, generator)
    if draw(generator) < training.flip:
        one = flip(one)
    pixels = photometric(one.pixels, training.photometric, generator)
    seed = image_seed(training.seed, epoch, index)
    canvas = canvas or size_of(pixels)
    return TrainingImage(pixels, one.truth, record.image_id, seed, index, canvas, one.proposals, damage)


def _resized(
    record: ImageRecord, image: ImageConfig, data: DataConfig, factor: float, proposals: Proposals | None
) -> tuple[Labelled, str | None]:
    """The resized image, and a line about damage that its decoder found."""
    pixels, _, damage = decode_image(record.path, data.max_pixels)
    refuse_vanishing(str(record.path), size_of(pixels), image.short_side, image.long_side)
    sides = image.short_side * factor, image.long_side * factor
    small = resize(pixels, *sides, image.resize, image.size_rounding)
    before, after = size_of(pixels), size_of(small)
    truth = rescale_truth(record.truth, before, after)
    moved = None if proposals is None else rescale_proposals(proposals, before, after)
    return Labelled(small, truth, moved), damage


_Key = tuple[int, int, ImageSize]
"""Epoch, index of the image, and canvas of its step."""


class _Images(Dataset[TrainingImage | _Unreadable]):
    """Maps a key to a training image; holds no state of its own."""

    def __init__(
        self,
        split: Split,
        image: ImageConfig,
        training: TrainingConfig,
        data: DataConfig,
        proposals: Sequence[Proposals] | None,
    ) -> None:
        self._records, self._image, self._training, self._data = split.records, image, training, data
        self._proposals = proposals

    def __getitem__(self, key: _Key) -> TrainingImage | _Unreadable:
        epoch, index, canvas = key
        record = self._records[index]
        proposals = None if self._proposals is None else self._proposals[index]
        try:
            return training_image(record, self._image, self._training, self._data, epoch, index, proposals, canvas)
        except ImageError as error:
            return _Unreadable(index, str(error))


class _EpochSampler(Sampler[list[_Key]]):
    """The batches still to come. It lives in the main process, so workers stay alive from epoch to epoch."""

    def __init__(self) -> None:
        self.batches: list[list[_Key]] = []

    def __iter__(self) -> Iterator[list[_Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _packed(images: list[TrainingImage | _Unreadable]) -> bytes:
    """A batch as plain bytes: torch would send tensors through shared memory, of which containers have 64 MB."""
    return pickle.dumps(images)


class TrainingLoader:
    """Batches of a split, for training epoch after epoch, read by worker processes that stay alive.

    An image that cannot be decoded is left out of its batch and logged once; a step without any image is skipped.
    Several processes share the images of each step, and log the damage that any of them found.
    """

    def __init__(
        self,
        split: Split,
        image: ImageConfig,
        training: TrainingConfig,
        data: DataConfig,
        proposals: Sequence[Proposals] | None = None,
        processes: Processes = ALONE,
    ) -> None:
        """Start no worker yet: they start with the first epoch.

        ``proposals`` are the external proposals of each record, in the pixels of the original image.
        """
        self._split, self._image, self._training, self._processes = split, image, training, processes
        self._sampler = _EpochSampler()
        self._undecodable = DamagedImages(split.name, len(split.records), "it is left out of training")
        self._logged: set[int] = set()
        workers = workers_here(training.workers)
        self._loader: DataLoader[TrainingImage | _Unreadable] = DataLoader(
            _Images(split, image, training, data, proposals),
            batch_sampler=self._sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=begin_reading,
            collate_fn=_packed if workers > 0 else list,
            # Its own generator: otherwise each epoch would draw from the global one, which belongs to dropout.
            generator=Generator(),
        )

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[StepImages]:
        """Augmented batches of one training epoch; the images of the first ``skip_batches`` are not read.

        Raises:
            DatasetError: more than 5 % of the images cannot be decoded (E105).
            MachineError: a worker process ended.
            ElsewhereError: one of these happened in another process.
        """
        sizes, image = [record.size for record in self._split.records], self._image
        shares = []
        for batch in epoch_batches(sizes, self._training.images_per_step, self._training.seed, epoch)[skip_batches:]:
            canvas = largest_of(
                [target_size(sizes[each], image.short_side, image.long_side, image.size_rounding) for each in batch]
            )
            shares.append([(epoch, index, canvas) for index in self._processes.share(batch)])
        return self._run(shares)

    def steps(self) -> int:
        """Number of batches in a training epoch."""
        return steps_of_epoch([record.size for record in self._split.records], self._training.images_per_step)

    def close(self) -> None:
        """End the workers; a later epoch would start new ones."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
            self._loader._iterator = None

    def _run(self, batches: list[list[_Key]]) -> Iterator[StepImages]:
        self._sampler.batches = batches
        arriving = started(self._loader)
        for _ in batches:
            images: list[TrainingImage | _Unreadable] = []
            shares = self._processes.outcomes(partial(_receive, arriving, images))
            for share in shares:
                self._log_damage(share.damage)
            self._undecodable.add({index: message for share in shares for index, message in share.unreadable.items()})
            if ids := tuple(each for share in shares for each in share.ids):
                yield StepImages(tuple(one for one in images if isinstance(one, TrainingImage)), ids)

    def _log_damage(self, damage: Mapping[int, str]) -> None:
        """Log, once, each image whose decoder went over damage."""
        for index, line in damage.items():
            if index not in self._logged:
                self._logged.add(index)
                _LOG.warning("%s", line)


@dataclass(frozen=True, slots=True)
class _Share:
    """What a process has read for a step, as the other processes learn it."""

    ids: tuple[int | str, ...]
    """Ids of the images that can be used."""
    damage: Mapping[int, str]
    """Lines about damage that the decoder went over, by index of the image."""
    unreadable: Mapping[int, str]
    """Messages about images that cannot be decoded, by their index."""


def _receive(
    arriving: Iterator[bytes | list[TrainingImage | _Unreadable]], images: list[TrainingImage | _Unreadable]
) -> _Share:
    """Add the images of the next batch to ``images``."""
    packed = next(arriving)
    images += pickle.loads(packed) if isinstance(packed, bytes) else packed
    readable = [one for one in images if isinstance(one, TrainingImage)]
    return _Share(
        tuple(one.image_id for one in readable),
        {one.index: one.damage for one in readable if one.damage is not None},
        {one.index: one.message for one in images if isinstance(one, _Unreadable)},
    )
