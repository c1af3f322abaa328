"""A peer at work in a process of its own."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from faster_rcnn.benchmark.subprocess_peer import in_own_process
from faster_rcnn.errors import MachineError


def facts(pixels: Tensor) -> Tensor:
    """The process that computes, its threads and its input; the process ends at an image of zeros."""
    if not pixels.any():
        os._exit(3)
    return torch.tensor([os.getpid(), torch.get_num_threads(), int(pixels.sum())])


def test_another_process_answers_with_as_many_threads_until_it_ends() -> None:
    ask = in_own_process(facts)
    ones = torch.ones(3, 4, 5, dtype=torch.uint8)
    [pid, threads, total], [same_pid, _, doubled] = ask(ones).tolist(), ask(2 * ones).tolist()
    assert pid == same_pid != os.getpid()
    assert threads == torch.get_num_threads()
    assert (total, doubled) == (60, 120)
    with pytest.raises(MachineError, match=r"ended by itself \(exit code 3\)"):
        ask(torch.zeros_like(ones))
