"""``Service``: one detector for all requests of a process, with the limits and the counts of its work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from faster_rcnn.errors import ImageError
from faster_rcnn.inference.confidence import notes_on
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.loading import load_detector
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.result import Result
from faster_rcnn.serving.http.metrics import Counts
from faster_rcnn.serving.http.options import ServeOptions
from faster_rcnn.serving.http.problems import overloaded
from faster_rcnn.serving.http.queue import DetectionQueue, Wanted
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.finding import MODELS_OF_RUN

_LOG = logging.getLogger(__name__)


class Service:
    """Detects for requests: it admits them, puts their images into the queue, and waits for the results in time."""

    def __init__(self, detector: PreparedDetector, options: ServeOptions) -> None:
        """Start the threads that detect; ``close`` ends them."""
        self.options = options
        self.limits = options.limits
        self.name = model_name(options.model)
        """The name of the model in addresses and replies."""
        self.counts = Counts(self.name)
        self.queue = DetectionQueue(_limited(detector, self.limits.megapixels * 10**6), options.batch)
        self._admitted = 0

    @property
    def classes(self) -> ClassMap:
        """Names and ids of the detector's labels."""
        return self.queue.detector.classes

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Within it a request has its place; raises ``ProblemError`` (429) where all places are taken.

        A request is admitted before its body is read, so that their number limits memory, too.
        """
        if self._admitted >= self.limits.queue:
            raise overloaded(429, f"{self._admitted} requests wait already; try again in a moment")
        self._admitted += 1
        self.counts.requests_inside.inc()
        try:
            yield
        finally:
            self._admitted -= 1
            self.counts.requests_inside.dec()

    @asynccontextmanager
    async def in_time(self) -> AsyncIterator[None]:
        """Within it a request has the time of an answer; raises ``ProblemError`` (503) where that is over."""
        try:
            async with asyncio.timeout(self.limits.timeout):
                yield
        except TimeoutError as error:
            text = f"no result within {self.limits.timeout:g} s: too many images wait; try again later"
            raise overloaded(503, text) from error

    async def predict(self, images: Sequence[AnyImage], wanted: Wanted) -> list[Result]:
        """The results of the images of an admitted request, in their order.

        Raises:
            ImageError: an image cannot be used; those of a request that do not have their turn yet are dropped.
            OptionError: the detector cannot do what is wanted.
            ProblemError: the results are not there in time.
        """
        start = time.perf_counter()
        futures = [asyncio.wrap_future(self.queue.put(image, wanted)) for image in images]
        try:
            async with self.in_time():
                results = await asyncio.gather(*futures)
        except ImageError as error:
            self.counts.images_refused.labels(error.code or "none").inc()
            raise
        finally:
            for future in futures:
                future.cancel()
        self.counts.add(results, time.perf_counter() - start)
        return results

    def close(self) -> None:
        """Finish the images that wait, and end the threads."""
        self.queue.close()
        self.counts.close()


def load_service(options: ServeOptions) -> Service:
    """Load the detector, log its kind, and start the service.

    Raises:
        ModelFileError, OptionError, MachineError: as ``load_detector``; OptionError where the detector lacks the
            thresholds that ``options.conf`` asks for.
    """
    detector = load_detector(options.model, options.precision, options.device, options.settings or None)
    for note in notes_on(options.conf, detector.thresholds, detector.classes):
        _LOG.info(note)
    service = Service(detector, options)
    _LOG.debug(f"{service.queue.workers} threads detect, {service.queue.batch} images together")
    return service


def model_name(model: str) -> str:
    """A name for addresses: that of the run folder or of the file, with letters, digits and ``._-`` only."""
    path = Path(model)
    name = path.parent.name if path.name in MODELS_OF_RUN and path.parent.name else path.name
    name = name.removesuffix(".safetensors").rpartition(":")[2]
    safe = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in name)
    return safe if safe.strip(".") else "model"  # dots alone are parts of an address that clients take out


def _limited(detector: PreparedDetector, max_pixels: int) -> PreparedDetector:
    """The same detector, which reads no image of more pixels."""
    data = detector.config.data
    limited = data.model_copy(update={"max_pixels": min(data.max_pixels, max_pixels)})
    return replace(detector, config=detector.config.model_copy(update={"data": limited}))
