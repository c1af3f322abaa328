"""Denormal numbers are 0 in every thread that computes, and only within the context."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from faster_rcnn.system import denormals
from faster_rcnn.system.denormals import DENORMAL, denormals_flushed, flushes
from made_data import make_squares, settings_file, train_with

SOURCE = str(Path(__file__).parents[2] / "src")
SHARES = """
import torch
from faster_rcnn.system.denormals import DENORMAL, denormals_flushed
torch.set_num_threads({threads})
numbers = torch.full((1 << 22,), DENORMAL)
def share():
    return float((numbers * 1.0 != 0).float().mean())
shares = [share()]  # the threads are there from now on
with denormals_flushed():
    shares.append(share())
print(*shares, share())
"""
"""Prints the share of the numbers that are not 0 before, within and after the context."""


@pytest.fixture(autouse=True)
def _with_the_mode() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor has no mode in which denormal numbers are 0")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_thread_has_the_mode_within_the_context_alone(threads: int) -> None:
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    environment.pop("OMP_NUM_THREADS", None)
    command = [sys.executable, "-c", SHARES.format(threads=threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1.0", "0.0", "1.0"]


def test_a_mode_that_was_set_before_stays() -> None:
    assert not flushes()
    torch.set_flush_denormal(True)
    try:
        with denormals_flushed():
            assert flushes()
        assert flushes()
    finally:
        torch.set_flush_denormal(False)


def test_without_gcc_s_openmp_the_thread_itself_has_the_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denormals, "_MAPS", Path("/nowhere"))
    with denormals_flushed():
        assert float(torch.tensor(DENORMAL) * 1.0) == 0
    assert not flushes()


def test_training_has_the_mode_and_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    step = torch.optim.SGD.step

    def watched(self: torch.optim.SGD) -> None:
        seen.append(flushes())
        step(self)

    monkeypatch.setattr(torch.optim.SGD, "step", watched)
    train_with(
        make_squares(tmp_path / "squares", {"train": 4}), config=settings_file(tmp_path, epochs=1), out=tmp_path / "run"
    )
    assert seen == [True]
    assert not flushes()
