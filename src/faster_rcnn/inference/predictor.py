"""Prediction: the detections of any number of images, in the order of the images."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.images import refuse_vanishing, size_of, vanishes
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.confidence import MinScore, min_scores
from faster_rcnn.inference.frame import Frame
from faster_rcnn.inference.inputs import AnyImage, out_of_memory, to_pixels
from faster_rcnn.inference.limits import Conf, refuse_limits
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.prefetch import Schedule, Steps, one_at_a_time, prefetched, two_workers
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.result import Prediction, Result
from faster_rcnn.inference.tiles import MAX_PIXELS, Tile, Tiling, detect_tiles
from faster_rcnn.losses import Losses
from faster_rcnn.proposals.selective_search import selective_search
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize, Proposals, TrainingBatch

ProposalSource = Callable[[AnyImage, Tensor], Proposals]
"""Gives the external proposals of an image, as it was given and decoded (3, height, width), in its pixels."""

TruthSource = Callable[[AnyImage], tuple[GroundTruth, int]]
"""Gives the ground truth of an image, in its pixels, and the seed of the samples that its losses are computed on."""

BATCH_ON_GPU = 8
"""Images per batch on a GPU, which a single image of a small detector leaves idle.

A single image keeps a CPU busy, and more images only take memory.
"""


@dataclass(frozen=True, slots=True, eq=False)
class _DecodedImage:
    """A decoded image, ready for the detector."""

    image: AnyImage
    """The image as it was given."""
    name: str
    """The path of the image, or the name of an image without a path in messages."""
    pixels: UInt8[Tensor, "3 height width"]
    proposals: Proposals | None


_Read = _DecodedImage | ImageError
"""A decoded image, or the reason why the image cannot be used."""


class Predictor:
    """Predicts with one detector on any number of images.

    A predictor does not change after it is made. Another predictor of the same detector, for other tiles, proposals or
    classes, costs nothing: the detector is shared.
    """

    def __init__(
        self,
        detector: PreparedDetector,
        *,
        batch: int | None = None,
        proposals: ProposalSource | None = None,
        tiling: Tiling | None = None,
        choice: Choice = Choice(),  # noqa: B008  # it is frozen
        truths: TruthSource | None = None,
        schedule: Schedule[Any, Any, Any] | None = None,
    ) -> None:
        """Set how images are read and detected.

        Args:
            detector: the detector.
            batch: the largest number of images, or tiles, that are detected together; by default 1 on a CPU and
                ``BATCH_ON_GPU`` elsewhere.
            proposals: the source of external proposals; without it, a Fast R-CNN searches for proposals itself.
            tiling: how larger images are cut into tiles. Images are then read when their turn comes, and the detector's
                limit of detections is that of a tile.
            choice: the classes that are reported, and the NMS that detections pass.
            truths: the source of ground truth, for validation: predictions then come with their losses.
            schedule: in which threads images are read and detected; by default the fastest one for the detector.

        Raises:
            OptionError: the detector lacks a class of ``choice``, or uses external proposals and cannot use tiles
                (E125).
        """
        if proposals is None and detector.config.detector.kind == "fast-rcnn":
            proposals = partial(_search, detector.config)
        if tiling is not None and proposals is not None:
            raise OptionError(
                f"tile {tiling.side}: this detector uses external proposals, which are made for whole images; leave "
                "the tiles out, or use a detector with a first stage of its own",
                code="E125",
            )
        self.detector = detector
        self.batch = batch or (BATCH_ON_GPU if detector.device.type == "cuda" else 1)
        self.proposals = proposals
        self.tiling = tiling
        self.choice = choice
        self.detection_filter = choice.filter_of(detector.model, detector.classes)
        """Replaces the detector's own filter of detections; ``None`` where the detector's own is used."""
        self.truths = truths
        self._schedule = schedule or _schedule_for(detector, self.batch, tiling)

    @property
    def classes(self) -> ClassMap:
        """Names and ids of the labels."""
        return self.detector.classes

    @property
    def config(self) -> Config:
        """The settings that the detector was built and trained with."""
        return self.detector.config

    def min_scores(self, conf: Conf) -> MinScore:
        """The lowest score that is reported, or one for each label; raises ``OptionError`` without thresholds."""
        return min_scores(conf, self.detector.thresholds)

    def predict_one(self, image: AnyImage, conf: Conf, max_detections: int | None = None) -> Result:
        """Predict on one image; raises like ``stream``."""
        return self.predict_with_pixels(image, conf, max_detections).result

    def predict_with_pixels(self, image: AnyImage, conf: Conf, max_detections: int | None = None) -> Prediction:
        """Predict on one image as ``predict_one`` does, and return its pixels, too."""
        refuse_limits(conf, max_detections)
        scores = self.min_scores(conf)
        [one] = self._predict_group([self._decoded(image, "image")], scores, max_detections)
        if isinstance(one, ImageError):
            raise one
        return one

    def replaced(
        self,
        *,
        detector: PreparedDetector | None = None,
        tiling: Tiling | None = None,
        choice: Choice | None = None,
    ) -> Predictor:
        """A predictor with another detector, other tiles or another choice of detections, and this one's other parts.

        The truths of validation and a schedule are not taken over.
        """
        return Predictor(
            detector or self.detector,
            batch=self.batch,
            proposals=self.proposals,
            tiling=tiling or self.tiling,
            choice=choice or self.choice,
        )

    def stream(self, images: Iterable[AnyImage], conf: Conf, max_detections: int | None = None) -> Iterator[Result]:
        """Predict on each image, in order; an image is taken when its result is, or up to two images ahead.

        Args:
            images: images of any kinds; the iterable may be endless.
            conf: lowest score that is reported, or a rule by which each class has its own.
            max_detections: limit of the detections of an image, beside the detector's own limit.

        Raises:
            ImageError: an image cannot be used.
            OptionError: a limit makes no sense.
        """
        refuse_limits(conf, max_detections)
        return _results(self.predict_each(images, conf, max_detections))

    def predict_each(
        self, images: Iterable[AnyImage], conf: Conf, max_detections: int | None = None
    ) -> Iterator[Prediction | ImageError]:
        """Predict like ``stream``, with the pixels, and an error in the place of each image that cannot be used."""
        steps = Steps(
            read=self._read,
            prepare=self._compile_for,
            process=partial(self._predict_group, conf=self.min_scores(conf), max_detections=max_detections),
            is_alone=_is_error,
        )
        return self._schedule(enumerate(images), steps)

    def _read(self, numbered: tuple[int, AnyImage]) -> _Read:
        number, image = numbered
        try:
            return self._decoded(image, f"image {number} (counted from 0)")
        except ImageError as error:
            return error

    def _decoded(self, image: AnyImage, name: str) -> _DecodedImage:
        name = str(image) if isinstance(image, str | os.PathLike) else image.name if isinstance(image, Frame) else name
        max_pixels = self.config.data.max_pixels
        try:
            pixels = to_pixels(image, name, max_pixels if self.tiling is None else max(max_pixels, MAX_PIXELS))
            size = size_of(pixels) if self.tiling is None else self.tiling.largest_part(size_of(pixels))
            refuse_vanishing(name, size, self.config.image.short_side, self.config.image.long_side)
            return _DecodedImage(image, name, pixels, self.proposals(image, pixels) if self.proposals else None)
        except (MemoryError, RuntimeError) as error:
            raise out_of_memory(error, name) from error

    def _compile_for(self, read: _Read) -> None:
        if isinstance(read, _DecodedImage):
            self.detector.compile_for(read.pixels)

    def _predict_group(
        self, group: Sequence[_Read], conf: MinScore, max_detections: int | None
    ) -> Iterator[Prediction | ImageError]:
        """Predictions for images that were read, one by one where memory does not suffice for all together.

        An image that cannot be used gives its error; an image that could not even be read is the only one of its group.
        """
        images = [one for one in group if isinstance(one, _DecodedImage)]
        if not images:
            yield from (one for one in group if isinstance(one, ImageError))
            return
        try:
            found: list[Prediction | ImageError] = list(self._predictions(images, conf, max_detections))
        except (MemoryError, RuntimeError) as error:
            fault = out_of_memory(error, images[0].name)
            if self.truths is not None:  # the losses are those of the whole group
                raise fault from error
            alone = (self._predict_group([one], conf, max_detections) for one in images)
            found = [fault] if len(images) == 1 else list(chain.from_iterable(alone))
        yield from found

    def _predictions(
        self, images: Sequence[_DecodedImage], conf: MinScore, max_detections: int | None
    ) -> Iterator[Prediction]:
        losses, found = self._detect_group(images, conf)
        for one, detections in zip(images, found, strict=True):
            kept = detections.above(conf, max_detections)
            yield Prediction(Result(kept, self.classes, size_of(one.pixels), one.image), one.pixels, losses)

    def _detect_group(
        self, images: Sequence[_DecodedImage], conf: MinScore
    ) -> tuple[Losses | None, Sequence[Detections]]:
        """The losses, in validation, and the detections of each image."""
        pixels = [one.pixels for one in images]
        proposals = [one.proposals for one in images if one.proposals is not None]
        if self.truths is not None:
            truths, seeds = zip(*(self.truths(one.image) for one in images), strict=True)
            return self.detector.validate(TrainingBatch(tuple(pixels), truths, seeds, tuple(proposals) or None))
        if self.tiling is not None:
            return None, [self._detect_in_tiles(each, conf, self.tiling) for each in pixels]
        return None, self.detector.detect(pixels, proposals, self.detection_filter)

    def _detect_in_tiles(self, pixels: UInt8[Tensor, "3 height width"], conf: MinScore, tiling: Tiling) -> Detections:
        """Detect all tiles and the whole image, and merge their detections."""
        detect = partial(self.detector.detect, detection_filter=self.detection_filter)
        size = size_of(pixels)
        [in_whole] = detect([pixels])
        if tiling.fits(size):
            return in_whole
        whole = Tile(0, 0, size.width, size.height), in_whole
        return self.merged(chain([whole], detect_tiles(pixels, tiling, detect, self.batch)), size, conf)

    def merged(self, parts: Iterable[tuple[Tile, Detections]], size: ImageSize, conf: MinScore) -> Detections:
        """Merge the detections of an image's parts, which are in its pixels: those of the whole image, then of tiles.

        Detections below ``conf`` take no part, so that no reported box is suppressed by one that is not reported.
        """
        kept = [(place, found.above(conf)) for place, found in parts]
        if vanishes(size, self.config.image.short_side, self.config.image.long_side):
            # The detections of the whole image are dropped where resizing makes it vanish, as for a long strip.
            kept[0] = kept[0][0], kept[0][1].above(math.inf)
        stage = self.config.rpn if self.config.detector.kind == "rpn" else self.detection_filter or self.config.roi
        across_classes = self.detection_filter is not None and self.detection_filter.across_classes
        return merge(kept, size, stage.nms_iou, across_classes=across_classes)


def _results(found: Iterator[Prediction | ImageError]) -> Iterator[Result]:
    for one in found:
        if isinstance(one, ImageError):
            raise one
        result = one.result
        del one  # its pixels are not held while the next image is read
        yield result


def _schedule_for(detector: PreparedDetector, batch: int, tiling: Tiling | None) -> Schedule[Any, Any, Any]:
    """The fastest schedule that changes no result and holds few images in memory."""
    if tiling is not None:  # an image may be a gigabyte, so the next image is read after it is done
        return one_at_a_time
    if detector.runs_two_images and batch == 1:
        return two_workers
    return partial(prefetched, batch=batch)


def _is_error(read: _Read) -> bool:
    return isinstance(read, ImageError)


def _search(config: Config, image: AnyImage, pixels: Tensor) -> Proposals:
    """Compute proposals of an image by selective search."""
    return selective_search(pixels, config.detector.selective_search, config.detector.outside_proposals)
