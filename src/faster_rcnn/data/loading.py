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

from torch import Generator
from torch.utils.data import DataLoader, Dataset, Sampler

from faster_rcnn.data.batches import epoch_batches, steps_of_epoch
from faster_rcnn.data.damage import DamagedImages
from faster_rcnn.data.records import Split
from faster_rcnn.data.training_image import TrainingImage, training_image
from faster_rcnn.data.transform import Transform, refuse_unsendable
from faster_rcnn.data.workers import begin_reading, started, workers_here
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.images import target_size
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.structures import ImageSize, Proposals, largest_of
from faster_rcnn.system.distributed import ALONE, Processes

_LOG = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class _Refused:
    """Takes the place of an image for which the user's transform failed."""

    text: str
    code: str | None


_Read = TrainingImage | _Unreadable | _Refused


_Key = tuple[int, int, ImageSize]
"""Epoch, index of the image, and canvas of its step."""


class _Images(Dataset[_Read]):
    """Maps a key to a training image; holds no state of its own."""

    def __init__(
        self,
        split: Split,
        image: ImageConfig,
        training: TrainingConfig,
        data: DataConfig,
        proposals: Sequence[Proposals] | None,
        transform: Transform | None,
    ) -> None:
        self._split, self._settings = split, (image, training, data)
        self._proposals, self._transform = proposals, transform

    def __getitem__(self, key: _Key) -> _Read:
        epoch, index, canvas = key
        proposals = None if self._proposals is None else self._proposals[index]
        try:
            return training_image(self._split, index, *self._settings, epoch, proposals, canvas, self._transform)
        except ImageError as error:
            return _Unreadable(index, str(error))
        except OptionError as error:  # torch would send a worker's error as the text of its traceback
            return _Refused(error.text, error.code)


class _EpochSampler(Sampler[list[_Key]]):
    """The batches still to come. It lives in the main process, so workers stay alive from epoch to epoch."""

    def __init__(self) -> None:
        self.batches: list[list[_Key]] = []

    def __iter__(self) -> Iterator[list[_Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _packed(images: list[_Read]) -> bytes:
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
        transform: Transform | None = None,
    ) -> None:
        """Start no worker yet: they start with the first epoch.

        ``proposals`` are the external proposals of each record, in the pixels of the original image. ``transform`` is
        the user's own augmentation.
        """
        self._split, self._image, self._training, self._processes = split, image, training, processes
        self._sampler = _EpochSampler()
        self._undecodable = DamagedImages(split.name, len(split.records), "it is left out of training")
        self._logged: set[int] = set()
        workers = workers_here(training.workers)
        refuse_unsendable(transform, workers)
        self._loader: DataLoader[_Read] = DataLoader(
            _Images(split, image, training, data, proposals, transform),
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
            OptionError: the transform failed for an image (E139).
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

    def file_of(self, index: int) -> str:
        """The file of an image, by the index of its record."""
        return str(self._split.records[index].path)

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
            images: list[_Read] = []
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


def _receive(arriving: Iterator[bytes | list[_Read]], images: list[_Read]) -> _Share:
    """Add the images of the next batch to ``images``; raises ``OptionError`` where a transform failed for one."""
    packed = next(arriving)
    images += pickle.loads(packed) if isinstance(packed, bytes) else packed
    for refused in (each for each in images if isinstance(each, _Refused)):
        raise OptionError(refused.text, code=refused.code)
    readable = [one for one in images if isinstance(one, TrainingImage)]
    return _Share(
        tuple(one.image_id for one in readable),
        {one.index: one.damage for one in readable if one.damage is not None},
        {one.index: one.message for one in images if isinstance(one, _Unreadable)},
    )
