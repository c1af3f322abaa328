"""The time that a function takes on a device."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

Result = TypeVar("Result")


def timed(work: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Run ``work`` once; returns its seconds and its result. On a GPU the time ends when the GPU has finished."""
    _wait_for(device)
    start = time.perf_counter()
    result = work()
    _wait_for(device)
    return time.perf_counter() - start, result


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
