"""Frames of a live stream come on time, whatever the detector does; a clock that the test moves says when."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from faster_rcnn.benchmark.live import SECONDS, Live, LiveRequest, live_of, play
from faster_rcnn.errors import OptionError

FRAMES = [torch.full((3, 2, 2), number, dtype=torch.uint8) for number in range(3)]


class Clock:
    """Time passes only while something sleeps or detects."""

    def __init__(self) -> None:
        self.now = 100.0

    def read(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


def played(takes: list[float], request: LiveRequest) -> tuple[Live, list[int]]:
    """A stream whose detections take these seconds in turn, and which of ``FRAMES`` they were given."""
    clock, given = Clock(), list[int]()

    def detect(frame: Tensor) -> None:
        clock.pass_by(takes[len(given) % len(takes)])
        given.append(int(frame[0, 0, 0]))

    return play(FRAMES, detect, request, clock.read, clock.pass_by), given


def test_a_detector_that_is_fast_enough_detects_every_frame() -> None:
    live, given = played([0.0625], LiveRequest(rate=8, deadline=0.125, seconds=1))
    assert given == [0, 1, 2, 0, 1, 2, 0, 1]
    assert live.latencies == pytest.approx([0.0625] * 8)
    assert (live.frames, live.dropped, live.late, live.missed) == (8, 0, 0, 0.0)
    assert live.lasted == pytest.approx(7 / 8 + 0.0625)
    assert "8 of 8 frames detected, 8.5 a second" in live.facts()[0][1]
    assert live.facts()[2][1] == "125 ms: 0 late, 0 dropped, 0.0 % of the frames"


def test_a_busy_detector_takes_the_newest_frame_and_drops_the_others() -> None:
    # A frame comes every 1/8 s, and a detection takes 5/16 s. At 0: frame 0. At 5/16: frames 1 and 2 have come, frame 2
    # (at 4/16) is taken and ready at 10/16, 6/16 after it came. At 10/16: frame 5 (at 10/16) is taken, ready at 15/16.
    # At 15/16: frame 7 (at 14/16) is taken, ready at 20/16.
    live, given = played([5 / 16], LiveRequest(rate=8, deadline=11 / 32, seconds=1))
    assert given == [0, 2, 2, 1]
    assert live.latencies == pytest.approx([5 / 16, 6 / 16, 5 / 16, 6 / 16])
    assert (live.frames, live.dropped, live.late, live.missed) == (8, 4, 2, 0.75)
    assert live.to_json() == {
        "frames_per_second": 8,
        "deadline": 11 / 32,
        "frames": 8,
        "detected": 4,
        "detected_per_second": pytest.approx(4 / 1.25),
        "dropped": 4,
        "late": 2,
        "missed_share": 0.75,
        "latency": {"p50": pytest.approx(0.34375), "p95": pytest.approx(0.375), "p99": pytest.approx(0.375)},
    }
    assert "4 dropped, as the detector was busy" in live.facts()[0][1]
    # 0.8 of the 125 ms between two frames, which are less than the deadline.
    assert live.facts()[2][1].startswith("343.8 ms: 2 late, 4 dropped, 75.0 % of the frames; --target-ms 100 finds")


def test_percentiles_are_of_the_detected_frames() -> None:
    live = Live(LiveRequest(10, 0.1, 10), tuple(number / 1000 for number in range(101)), 5, 11.0)
    assert live.percentiles == pytest.approx({50: 0.05, 95: 0.095, 99: 0.099})
    assert live.facts()[1][1].startswith("median 50.0 ms, 95 % 95.0 ms, 99 % 99.0 ms")


def test_a_short_stream_has_a_frame() -> None:
    live, given = played([1.0], LiveRequest(rate=1, deadline=1.0, seconds=0.1))
    assert (given, live.frames, live.late) == ([0], 1, 0)


def test_the_deadline_is_the_time_between_two_frames_unless_one_is_given() -> None:
    assert live_of(25, None, None) == LiveRequest(25, 0.04, SECONDS)
    assert live_of(25, 100, 3) == LiveRequest(25, 0.1, 3)
    assert live_of(None, None, None) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((None, 20.0, None), "--deadline-ms and --seconds are for --live, which is missing"),
        ((None, None, 5.0), "--deadline-ms and --seconds are for --live, which is missing"),
        ((0.0, None, None), "--live 0: it must be a positive number"),
        ((30.0, -1.0, None), "--deadline-ms -1: it must be a positive number"),
        ((30.0, None, math.inf), "--seconds inf: it must be a positive number"),
        ((math.nan, None, None), "--live nan: it must be a positive number"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: tuple[float | None, ...], message: str) -> None:
    with pytest.raises(OptionError, match=f"E125 {message}"):
        live_of(*options)
