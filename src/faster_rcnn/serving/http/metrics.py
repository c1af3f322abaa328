"""Counts of the server's work in the text format of Prometheus.

With several processes each one writes its counts into files of a common folder, and whichever is asked adds them up.
"""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from faster_rcnn._version import __version__
from faster_rcnn.inference.result import Result

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the common folder, which prometheus-client reads when it is imported."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bounds of the histograms."""


class Counts:
    """What is counted, under names that begin with ``faster_rcnn_``."""

    def __init__(self, model: str) -> None:
        """Start at zero; ``model`` is the name of the detector."""
        self.registry = registry = CollectorRegistry()
        self.responses = Counter("faster_rcnn_responses", "Answered requests.", ["route", "status"], registry=registry)
        self.response_seconds = Histogram(
            "faster_rcnn_response_seconds", "Time of a request.", ["route"], buckets=SECONDS, registry=registry
        )
        self.requests_inside = Gauge(
            "faster_rcnn_requests_inside", "Requests that are received, wait or are computed.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.images = Counter("faster_rcnn_images", "Images with a result.", registry=registry)
        self.images_refused = Counter(
            "faster_rcnn_images_refused", "Images that could not be used.", ["code"], registry=registry
        )
        self.detections = Counter("faster_rcnn_detections", "Reported detections.", ["class_name"], registry=registry)
        self.detect_seconds = Histogram(
            "faster_rcnn_detect_seconds", "Time of a request's images in the queue and the detector.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        info = Gauge(
            "faster_rcnn_info", "1, with the detector and the version.", ["model", "version"],
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        info.labels(model, __version__).set(1)

    def add(self, results: Sequence[Result], seconds: float) -> None:
        """Count the results of a request."""
        self.images.inc(len(results))
        self.detect_seconds.observe(seconds)
        for result in results:
            for name, count in collections.Counter(result.names).items():
                self.detections.labels(name).inc(count)

    def text(self) -> bytes:
        """All counts, of all processes where there are several."""
        if FOLDER not in os.environ:
            return generate_latest(self.registry)
        every = CollectorRegistry()
        MultiProcessCollector(every)  # type: ignore[no-untyped-call]
        return generate_latest(every)

    def close(self) -> None:
        """Take the gauges of this process out of the sums of several ones."""
        if FOLDER in os.environ:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
