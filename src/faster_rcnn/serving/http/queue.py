"""The queue of images, and the threads that detect them.

On a CPU two threads process an image each, with half of torch's threads, as ``predict`` does; where results are to be
equal to the last bit, one thread does with all of them. On a GPU one thread detects images of several requests
together.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import torch

from faster_rcnn.errors import ImageError
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.confidence import min_scores
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.limits import Conf
from faster_rcnn.inference.predictor import BATCH_ON_GPU, Predictor
from faster_rcnn.inference.prefetch import one_at_a_time, prefetched, take_threads
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.inference.result import Result

THREADS = "faster-rcnn-serve"
"""Prefix of the names of the threads."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The detections that a request asks for."""

    conf: Conf
    max_det: int | None = None
    choice: Choice = field(default_factory=Choice)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """An image of a request, and the place of its result."""

    image: AnyImage
    wanted: Wanted
    result: Future[Result] = field(default_factory=Future)


class DetectionQueue:
    """Detects the images that are put into it, in their order; each result or error goes into the future of its job."""

    def __init__(self, detector: PreparedDetector, batch: int | None = None) -> None:
        """Start the threads.

        Args:
            detector: the detector.
            batch: largest number of images that are detected together; by default ``BATCH_ON_GPU`` on a GPU, else 1.
        """
        self.detector = detector
        self.batch = batch or (BATCH_ON_GPU if detector.device.type == "cuda" else 1)
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        threads = torch.get_num_threads()  # here: a thread of the queue changes the number that the next one finds
        count = 2 if self.batch == 1 and detector.runs_two_images and threads > 1 else 1
        # Daemons: a process that ends by force does not wait for them.
        self._threads = [
            threading.Thread(target=self._work, args=(count, threads), name=f"{THREADS}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Number of images that wait."""
        return len(self._jobs)

    @property
    def workers(self) -> int:
        """Number of threads that detect."""
        return len(self._threads)

    def put(self, image: AnyImage, wanted: Wanted) -> Future[Result]:
        """Append an image; a future that is cancelled before its turn costs nothing.

        Raises ``OptionError`` for a choice of detections that the detector cannot make, and for thresholds that it
        does not have.
        """
        min_scores(wanted.conf, self.detector.thresholds)
        wanted.choice.filter_of(self.detector.model, self.detector.classes)
        job = Job(image, wanted)
        with self._changed:
            if self._is_closed:
                raise RuntimeError("the queue is closed")
            self._jobs.append(job)
            self._changed.notify()
        return job.result

    def close(self) -> None:
        """Detect all images that wait, and end the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, workers: int, threads: int) -> None:
        if workers > 1:
            take_threads(max(1, threads // workers), threads)
        while group := self._next_group():
            self._detect(group)
            del group  # its images are not held while the next ones are awaited

    def _next_group(self) -> list[Job]:
        """The next jobs that want the same, as many as are detected together; none when all work is done."""
        group: list[Job] = []
        while not group:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                if not self._jobs:
                    return []
                first = self._jobs.popleft()
                group = [first, *islice((job for job in self._jobs if job.wanted == first.wanted), self.batch - 1)]
                for job in group[1:]:
                    self._jobs.remove(job)
            group = [job for job in group if job.result.set_running_or_notify_cancel()]
        return group

    def _detect(self, group: Sequence[Job]) -> None:
        wanted = group[0].wanted
        try:
            predictor = self._predictor(wanted.choice)
            outcomes = predictor.predict_each([job.image for job in group], wanted.conf, wanted.max_det)
            for job, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, ImageError):
                    job.result.set_exception(outcome)
                else:
                    job.result.set_result(outcome.result)
        except Exception as error:  # noqa: BLE001  # reported by the request; the thread goes on with the next one
            for job in group:
                if not job.result.done():
                    job.result.set_exception(error)

    def _predictor(self, choice: Choice) -> Predictor:
        schedule = one_at_a_time if self.batch == 1 else partial(prefetched, batch=self.batch)
        return Predictor(self.detector, batch=self.batch, choice=choice, schedule=schedule)
