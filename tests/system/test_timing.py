"""A timed function gives its own result, and its time includes its work."""

from __future__ import annotations

import time

import torch

from faster_rcnn.system.timing import timed


def test_seconds_and_result_of_one_run() -> None:
    runs: list[int] = []

    def work() -> str:
        runs.append(1)
        time.sleep(0.02)
        return "result"

    seconds, result = timed(work, torch.device("cpu"))
    assert (result, runs) == ("result", [1])
    assert seconds >= 0.02
