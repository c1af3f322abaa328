"""The queue of images: its results are those of ``predict``, and no job is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from typing import Any

import pytest
import torch

from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector
from faster_rcnn.serving.http import queue as of_queue
from faster_rcnn.serving.http.queue import DetectionQueue, Wanted
from files import loaded_model, rgb
from tiny import assert_equal_detections

ALL = Wanted(0.01)


@pytest.fixture(scope="module")
def detector() -> PreparedDetector:
    return ready_detector(loaded_model(), "float32")


@pytest.fixture
def queue(detector: PreparedDetector) -> Iterator[DetectionQueue]:
    made = DetectionQueue(detector)
    yield made
    made.close()


def expected(detector: PreparedDetector, seed: int, wanted: Wanted = ALL) -> dict[str, Any]:
    predictor = Predictor(detector, choice=wanted.choice)
    return predictor.predict_one(rgb(seed=seed), wanted.conf, wanted.max_det).to_json()


def test_each_image_gets_the_detections_that_it_wants(queue: DetectionQueue, detector: PreparedDetector) -> None:
    wishes = [ALL, Wanted(0.4), Wanted(0.01, 2), Wanted(0.01, choice=Choice(("cat",))), ALL]
    jobs = [queue.put(rgb(seed=seed), wanted) for seed, wanted in enumerate(wishes)]
    for seed, (job, wanted) in enumerate(zip(jobs, wishes, strict=True)):
        assert job.result(60).to_json() == expected(detector, seed, wanted)


def test_waiting_images_that_want_the_same_are_detected_together(
    detector: PreparedDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    detect, gate = Predictor.predict_each, threading.Event()

    def noted(self: Predictor, images: Sequence[Any], *limits: Any) -> Any:
        gate.wait(60)
        groups.append(len(images))
        return detect(self, images, *limits)

    monkeypatch.setattr(Predictor, "predict_each", noted)
    queue = DetectionQueue(detector, batch=3)
    jobs = [queue.put(rgb(seed=0), ALL)]
    while len(queue):  # the thread has taken the first one, and waits at the gate
        pass
    jobs += [queue.put(rgb(seed=seed), Wanted(0.5) if seed == 2 else ALL) for seed in range(1, 6)]
    assert len(queue) == 5
    gate.set()
    wait(jobs, 60)
    queue.close()
    assert groups == [1, 3, 1, 1]  # 0; 1, 3 and 4; 2, whose limit is another one; 5
    for seed in (0, 1, 3, 4, 5):
        alone = Predictor(detector).predict_one(rgb(seed=seed), ALL.conf).detections
        assert_equal_detections(jobs[seed].result().detections, alone)


def test_an_image_that_cannot_be_used_fails_alone(detector: PreparedDetector) -> None:
    queue = DetectionQueue(detector, batch=4)
    good, bad, other = queue.put(rgb(), ALL), queue.put(b"none", ALL), queue.put(rgb(seed=1), ALL)
    assert isinstance(bad.exception(60), ImageError)
    assert len(good.result(60)) > 0
    assert len(other.result(60)) > 0
    queue.close()


def test_a_fault_of_the_detector_ends_no_thread(queue: DetectionQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(PreparedDetector, "detect", lambda *_: 1 / 0)
        assert isinstance(queue.put(rgb(), ALL).exception(60), ZeroDivisionError)
    assert len(queue.put(rgb(), ALL).result(60)) > 0


def test_a_cancelled_image_is_not_detected(detector: PreparedDetector, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, gate, detect = [], threading.Event(), PreparedDetector.detect

    def noted(self: PreparedDetector, images: Sequence[Any], *rest: Any) -> Any:
        gate.wait(60)
        seen.append(tuple(images[0].shape))
        return detect(self, images, *rest)

    monkeypatch.setattr(PreparedDetector, "detect", noted)
    queue = DetectionQueue(detector)
    first, second, third = (queue.put(rgb(40, width), ALL) for width in (40, 50, 60))
    assert second.cancel()
    gate.set()
    queue.close()
    assert first.done()
    assert third.done()
    assert seen == [(3, 40, 40), (3, 40, 60)]


def test_all_that_was_put_is_done_before_the_queue_is_closed(detector: PreparedDetector) -> None:
    queue = DetectionQueue(detector)
    jobs = [queue.put(rgb(seed=seed), ALL) for seed in range(8)]
    queue.close()
    assert all(job.done() for job in jobs)
    with pytest.raises(RuntimeError, match="the queue is closed"):
        queue.put(rgb(), ALL)


def test_a_class_that_the_detector_lacks_is_refused_at_once(queue: DetectionQueue) -> None:
    with pytest.raises(OptionError, match="the detector has no class 'zebra'"):
        queue.put(rgb(), Wanted(0.5, choice=Choice(("zebra",))))


def test_two_threads_share_those_of_torch_where_results_need_not_be_exact(detector: PreparedDetector) -> None:
    fast = ready_detector(loaded_model(), "auto", "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        exact, shared = DetectionQueue(detector), DetectionQueue(fast)
        assert (exact.workers, shared.workers) == (1, 2)
        jobs = [shared.put(rgb(seed=seed), ALL) for seed in range(4)]
        assert all(job.result(60) is not None for job in jobs)
        exact.close()
        shared.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_threads_share_the_number_that_torch_has_when_the_queue_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[tuple[int, int]] = []

    def take(count: int, of_others: int) -> None:  # a thread is interrupted before it restores that of others
        torch.set_num_threads(count)
        shares.append((count, of_others))

    class Slow(threading.Thread):
        def start(self) -> None:
            wanted = len(shares) + 1
            super().start()
            while len(shares) < wanted and self.is_alive():
                time.sleep(0.001)

    monkeypatch.setattr(of_queue, "take_threads", take)
    monkeypatch.setattr(threading, "Thread", Slow)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        DetectionQueue(ready_detector(loaded_model(), "auto", "cpu")).close()
        assert shares == [(2, 4), (2, 4)]
    finally:
        torch.set_num_threads(before)
