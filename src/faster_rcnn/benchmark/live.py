"""A live stream: frames come at a fixed rate, as from a camera, and each must have its boxes before a deadline.

A detector that is still busy when frames come takes the newest one as soon as it is free, as a live display does; the
older ones are dropped. So the latency of a frame includes the time that it waits, and a detector that is too slow
misses frames instead of falling further and further behind.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.system.wording import count_of

PERCENTILES = (50, 95, 99)
"""Percentiles of the latency that are reported."""
SECONDS = 10.0
"""How long frames come, where that is not given."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """How many frames come, and how soon each must have its boxes."""

    rate: float
    """Frames per second."""
    deadline: float
    """Seconds from the arrival of a frame to its boxes."""
    seconds: float
    """How long frames come."""

    @property
    def frames(self) -> int:
        """The number of frames that come, at least one."""
        return max(1, math.ceil(self.rate * self.seconds))


def live_of(rate: float | None, deadline_ms: float | None, seconds: float | None) -> LiveRequest | None:
    """The request of the options, ``None`` without a rate; the deadline is the time between two frames by default.

    Raises ``OptionError`` (E125) for numbers that are not positive, and for a deadline or a length without a rate.
    """
    if rate is None:
        if deadline_ms is not None or seconds is not None:
            raise OptionError("--deadline-ms and --seconds are for --live, which is missing", code="E125")
        return None
    for name, value in (("--live", rate), ("--deadline-ms", deadline_ms), ("--seconds", seconds)):
        if value is not None and not 0 < value < math.inf:
            raise OptionError(f"{name} {value:g}: it must be a positive number", code="E125")
    return LiveRequest(
        rate=rate,
        deadline=1 / rate if deadline_ms is None else deadline_ms / 1000,
        seconds=SECONDS if seconds is None else seconds,
    )


@dataclass(frozen=True, slots=True)
class Live:
    """What became of the frames of a live stream."""

    request: LiveRequest
    latencies: tuple[float, ...]
    """Seconds from the arrival of each detected frame to its boxes, in order."""
    dropped: int
    """Number of frames that came and went while the detector was busy."""
    lasted: float
    """Seconds from the first frame to the last boxes."""

    @property
    def frames(self) -> int:
        """The number of frames that came."""
        return len(self.latencies) + self.dropped

    @property
    def late(self) -> int:
        """The number of detected frames whose boxes came after the deadline."""
        return sum(latency > self.request.deadline for latency in self.latencies)

    @property
    def missed(self) -> float:
        """The share of all frames that were late or dropped."""
        return (self.late + self.dropped) / self.frames

    @property
    def detected_per_second(self) -> float:
        """The number of detected frames in a second."""
        return len(self.latencies) / self.lasted

    @property
    def percentiles(self) -> dict[int, float]:
        """Seconds of latency within which that percentage of the detected frames had their boxes."""
        found = np.percentile(np.asarray(self.latencies), PERCENTILES)
        return {percent: float(seconds) for percent, seconds in zip(PERCENTILES, found, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON; times in seconds."""
        return {
            "frames_per_second": self.request.rate,
            "deadline": self.request.deadline,
            "frames": self.frames,
            "detected": len(self.latencies),
            "detected_per_second": self.detected_per_second,
            "dropped": self.dropped,
            "late": self.late,
            "missed_share": self.missed,
            "latency": {f"p{percent}": seconds for percent, seconds in self.percentiles.items()},
        }

    def facts(self) -> list[tuple[str, str]]:
        """Labels and texts."""
        middle, high, highest = (f"{1000 * seconds:.1f} ms" for seconds in self.percentiles.values())
        return [
            (
                f"live, {self.request.rate:g} fps",
                f"{len(self.latencies)} of {count_of(self.frames, 'frame')} detected, "
                f"{self.detected_per_second:.1f} a second; {self.dropped} dropped, as the detector was busy",
            ),
            ("latency", f"median {middle}, 95 % {high}, 99 % {highest}, from a frame's arrival to its boxes"),
            (
                "deadline",
                f"{1000 * self.request.deadline:.4g} ms: {self.late} late, {self.dropped} dropped, "
                f"{100 * self.missed:.1f} % of the frames{self._remedy()}",
            ),
        ]

    def _remedy(self) -> str:
        if not self.missed:
            return ""
        limit = 1000 * min(self.request.deadline, 1 / self.request.rate)
        return f"; --target-ms {0.8 * limit:.0f} finds an image size and a number of proposals that are faster"


def play(
    frames: Sequence[UInt8[Tensor, "3 _ _"]],
    detect: Callable[[Tensor], object],
    request: LiveRequest,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Live:
    """Let frames come, the first one again after the last, and detect the newest one whenever the detector is free.

    Args:
        frames: decoded images, at least one.
        detect: gives the boxes of a frame; returns when they are there.
        request: rate, deadline and length.
        clock: gives the seconds of now.
        sleep: waits for so many seconds.
    """
    latencies: list[float] = []
    dropped = following = 0
    start = clock()
    while following < request.frames:
        now = clock() - start
        newest = min(math.floor(now * request.rate), request.frames - 1)
        if newest < following:
            sleep(following / request.rate - now)
            continue
        dropped += newest - following
        detect(frames[newest % len(frames)])
        latencies.append(clock() - start - newest / request.rate)
        following = newest + 1
    return Live(request, tuple(latencies), dropped, clock() - start)
