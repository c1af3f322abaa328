"""A detector at work on images: two at once, or one after the other, the next one being decoded meanwhile."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.acceleration.compilation import ShapeCompiler
from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.selection import accelerated_model, refuse_int8
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.images import refuse_vanishing, size_of, vanishes
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.inputs import AnyImage, memory_told, to_pixels
from faster_rcnn.inference.limits import refuse_limits
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.prefetch import Gate, done_ahead, done_two_at_once
from faster_rcnn.inference.result import Result, Seen, ordinary
from faster_rcnn.inference.tiles import MOST_PIXELS, Tile, Tiling, found_in_tiles
from faster_rcnn.losses import Losses
from faster_rcnn.model import FasterRCNN
from faster_rcnn.proposals.selective_search import selective_search
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.structures import Detections, GroundTruth, Proposals, TrainingBatch
from faster_rcnn.system.devices import computing_in, float_precision
from faster_rcnn.system.memory import keep_freed_memory
from faster_rcnn.weights.model_file import LoadedModel

_LOG = logging.getLogger(__name__)

Truths = Callable[[AnyImage], tuple[GroundTruth, int]]
"""What is to be found in an image, in its pixels, and the seed of what is sampled for its losses."""

BATCH_ON_GPU = 8
"""A GPU idles with one image of a small detector; a CPU is busy with one, and each more only takes memory."""


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """A decoded image."""

    image: AnyImage
    name: str
    """Its path, or what messages call it."""
    pixels: UInt8[Tensor, "3 height width"]
    proposals: Proposals | None


class Predictor:
    """Runs one detector on any number of images."""

    def __init__(
        self,
        loaded: LoadedModel,
        device: torch.device,
        precision: torch.dtype,
        *,
        exact: bool = True,
        compile: bool = False,
        tell: Callable[[str], None] = _LOG.info,
        batch: int | None = None,
        proposals: Callable[[AnyImage, Tensor], Proposals] | None = None,
    ) -> None:
        """Move the detector to where it works, and make its form for inference.

        Where ``exact``, float32 gives torchvision's answers to the last bit; otherwise it is float32, and faster.
        In ``torch.int8`` the detector works in 8 bits, with the ranges of its file, and what is not in ``floats``.
        What is compiled, see ``compiling``, is told to ``tell``.
        ``batch`` images at most are looked at together. ``proposals`` gives those from outside for an image and its
        pixels, in its frame; without it a Fast R-CNN searches for itself.

        Raises:
            OptionError: 8 bits on a GPU (E126), or compiled.
            ModelFileError: 8 bits, and the detector has no ranges (E123).
            MachineError: 8 bits, or the compiler, are not there.
        """
        if precision == torch.int8:
            refuse_int8(loaded, device, compile)
        if device.type == "cpu":
            keep_freed_memory()
        exact = exact and precision == torch.float32
        # Channels last is the faster order; that of torchvision keeps its last bits.
        order = torch.contiguous_format if exact else torch.channels_last
        loaded.model.to(device, memory_format=order)  # type: ignore[call-overload]  # torch's types lag
        self.model = loaded.model.eval()
        self.floats = float_precision(precision, device)
        """The type of what is not in 8 bits."""
        prepared = prepare_for_inference(self.model, self.floats, exact)
        self.network = prepared if exact else accelerated_model(prepared, precision, loaded)
        """What looks at images: the detector, or a form of it that does the same faster."""
        self.compiling = ShapeCompiler(self.network, prepared, compile, device, tell)
        self.classes = loaded.classes
        self.config = loaded.config
        self.device = device
        self.precision = precision
        self.proposals = proposals
        if proposals is None and loaded.config.detector.kind == "fast-rcnn":
            self.proposals = self._search
        self.batch = batch or (BATCH_ON_GPU if device.type == "cuda" else 1)
        self.two_at_once = device.type == "cpu" and self.batch == 1 and not exact
        """Whether images of a stream share the processor: not for exact answers, whose last bits hang on threads."""
        self.tiling: Tiling | None = None
        self.rule: DetectionFilter | None = None
        """In the place of the detector's own filter of detections."""
        self.truths: Truths | None = None

    def in_tiles(self, tiling: Tiling | None) -> Predictor:
        """This detector, at work on images in tiles; the weights are shared. Without a tiling it is this one itself.

        Images are then read one by one, when their turn comes, and the detector's limit of detections is each tile's.

        Raises:
            OptionError: it takes proposals from outside, which are those of whole images (E125).
        """
        if tiling is None:
            return self
        if self.proposals is not None:
            raise OptionError(
                f"tile {tiling.side}: this detector looks at proposals from outside, which are made of a whole image; "
                "leave the tiles out, or take a detector with a first stage of its own",
                code="E125",
            )
        other = copy(self)
        other.tiling = tiling
        return other

    def choosing(self, choice: Choice) -> Predictor:
        """This detector, with another filter of its detections; the weights are shared. Raises ``OptionError``."""
        other = copy(self)
        other.rule = choice.filter_of(self.model, self.classes)
        return other

    def validating(self, truths: Truths) -> Predictor:
        """The same for validation: images come with their losses."""
        other = copy(self)
        other.truths = truths
        return other

    def predict_one(self, image: AnyImage, conf: float, most: int | None = None) -> Result:
        """What is in one image; raises like ``stream``."""
        refuse_limits(conf, most)
        read = self._decoded(image, "image")
        one = next(self._found_in([read], conf, most))
        if isinstance(one, ImageError):
            raise one
        return one.result

    def stream(self, images: Iterable[AnyImage], conf: float, most: int | None = None) -> Iterator[Result]:
        """What is in each image, in their order; images are taken as results are, and one more.

        Args:
            images: of any kinds; may be endless.
            conf: lowest score that is reported.
            most: detections of one image, beside the model's own limit.

        Raises:
            ImageError: an image cannot be used.
            OptionError: a limit makes no sense.
        """
        refuse_limits(conf, most)
        return self._results(images, conf, most)

    def outcomes(self, images: Iterable[AnyImage], conf: float, most: int | None = None) -> Iterator[Seen | ImageError]:
        """As ``stream``, but with the pixels, and an error in the place of each image that cannot be used."""
        work = partial(self._in_its_turn, gate=Gate(), conf=conf, most=most)
        if self.tiling is not None:
            # Nothing is read ahead, and nothing is held here while the next one is read: each may be a gigabyte.
            yield from map(work, enumerate(images))
            return
        if self.two_at_once and torch.get_num_threads() > 1:
            yield from done_two_at_once(enumerate(images), work)
            return
        waiting: list[_Read] = []
        for one in done_ahead(enumerate(images), self._read, self.batch):
            if isinstance(one, _Read):
                waiting.append(one)
            if isinstance(one, ImageError) or len(waiting) == self.batch:
                yield from self._found_in(waiting, conf, most)
                waiting = []
            if isinstance(one, ImageError):
                yield one
        yield from self._found_in(waiting, conf, most)

    def _results(self, images: Iterable[AnyImage], conf: float, most: int | None) -> Iterator[Result]:
        for one in self.outcomes(images, conf, most):
            if isinstance(one, ImageError):
                raise one
            result = one.result
            del one  # its pixels are not held while the next image is read
            yield result

    def _in_its_turn(
        self, numbered: tuple[int, AnyImage], gate: Gate, conf: float, most: int | None
    ) -> Seen | ImageError:
        read: _Read | ImageError | None = None
        try:
            read = self._read(numbered)
        finally:  # after any error, too: the images behind this one wait for it
            with gate.passed_in_order(numbered[0]):  # shapes are compiled in the order of images, not of threads
                if isinstance(read, _Read):
                    self._network_for(read.pixels)
        return read if isinstance(read, ImageError) else next(self._found_in([read], conf, most))

    def _network_for(self, pixels: Tensor) -> FasterRCNN:
        with torch.inference_mode(), computing_in(self.floats, self.device):
            return self.compiling.model_for(self.network.preparation.padded_size(size_of(pixels)))

    def _read(self, numbered: tuple[int, AnyImage]) -> _Read | ImageError:
        number, image = numbered
        try:
            return self._decoded(image, f"image {number} (counted from 0)")
        except ImageError as error:
            return error

    def _decoded(self, image: AnyImage, name: str) -> _Read:
        name = str(image) if isinstance(image, str | os.PathLike) else name
        most_pixels = self.config.data.max_pixels
        try:
            pixels = to_pixels(image, name, most_pixels if self.tiling is None else max(most_pixels, MOST_PIXELS))
            size = size_of(pixels) if self.tiling is None else self.tiling.largest_part(size_of(pixels))
            refuse_vanishing(name, size, self.config.image.short_side, self.config.image.long_side)
            return _Read(image, name, pixels, self.proposals(image, pixels) if self.proposals else None)
        except (MemoryError, RuntimeError) as error:
            raise memory_told(error, name) from error

    def _search(self, image: AnyImage, pixels: Tensor) -> Proposals:
        detector = self.config.detector
        return selective_search(pixels, detector.selective_search, detector.outside_proposals)

    def _found_in(self, group: list[_Read], conf: float, most: int | None) -> Iterator[Seen | ImageError]:
        """What is in each image of a group, or an error; one by one where memory does not suffice for all at once."""
        try:
            found: list[Seen | ImageError] = list(self._look_at(group, conf, most))
        except (MemoryError, RuntimeError) as error:
            told = memory_told(error, group[0].name)
            if self.truths is not None:  # whose losses are those of the group
                raise told from error
            found = [told] if len(group) == 1 else [next(self._found_in([one], conf, most)) for one in group]
        yield from found

    def _look_at(self, group: list[_Read], conf: float, most: int | None) -> Iterator[Seen]:
        if not group:
            return
        losses = None
        if self.truths is not None:
            losses, found = self._validate(group, self.truths)
        elif self.tiling is None:
            given = [one.proposals for one in group if one.proposals is not None]
            found = self._detect([one.pixels for one in group], given)
        else:
            found = [self._detect_in_tiles(one.pixels, conf, self.tiling) for one in group]
        for one, detections in zip(group, found, strict=True):
            kept = detections.above(conf, most)
            result = Result(kept.boxes, kept.scores, kept.labels, self.classes, size_of(one.pixels), one.image)
            yield Seen(result, one.pixels, losses)

    def _detect(self, images: Sequence[Tensor], proposals: Sequence[Proposals] = ()) -> list[Detections]:
        with torch.inference_mode(), computing_in(self.floats, self.device):
            given = [each.to(self.device) for each in proposals]
            # Batches are for GPUs, where nothing is compiled.
            network = self._network_for(images[0]) if len(images) == 1 else self.network
            found = network.detect([each.to(self.device) for each in images], given or None, self.rule)
        return [ordinary(each) for each in found]

    def _validate(self, group: list[_Read], truths: Truths) -> tuple[Losses, list[Detections]]:
        """As ``_detect`` with ``self.network``, which is what is compiled in no case."""
        given = tuple(one.proposals for one in group if one.proposals is not None)
        known = [truths(one.image) for one in group]
        batch = TrainingBatch(
            tuple(one.pixels for one in group),
            tuple(truth for truth, _ in known),
            tuple(seed for _, seed in known),
            given or None,
        )
        with torch.inference_mode(), computing_in(self.floats, self.device):
            losses, found = self.network.validate(batch.to(self.device))
        return losses, [ordinary(each) for each in found]

    def _detect_in_tiles(self, pixels: Tensor, conf: float, tiling: Tiling) -> Detections:
        """Merged; only what is at least ``conf`` takes part, so that nothing goes for something that is not told."""
        size = size_of(pixels)
        if tiling.fits(size):
            return self._detect([pixels])[0]
        # Of a strip that vanishes when it is resized as a whole, only the tiles show anything.
        least = math.inf if vanishes(size, self.config.image.short_side, self.config.image.long_side) else conf
        parts = [(Tile(0, 0, size.width, size.height), self._detect([pixels])[0].above(least))]
        parts += [(tile, found.above(conf)) for tile, found in found_in_tiles(pixels, tiling, self._detect, self.batch)]
        stage = self.config.rpn if self.config.detector.kind == "rpn" else self.rule or self.config.roi
        across_classes = self.rule is not None and self.rule.across_classes
        return merge(parts, size, stage.nms_iou, across_classes=across_classes)
