"""The same bytes in every run, whatever else the machine does: training, prediction, measuring, and a resumed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.cli.predict import predict
from faster_rcnn.system.devices import supports_precision, using_threads
from faster_rcnn.training import run_folder
from made_data import make_squares, settings_file, train_with

MODELS = (run_folder.BEST, run_folder.LAST)
BUSY = "while True: sum(range(10**6))"
IN_BFLOAT16 = pytest.mark.skipif(
    not supports_precision(torch.bfloat16, torch.device("cpu")), reason="this processor does not compute in bfloat16"
)
PRECISIONS = ["float32", pytest.param("bfloat16", marks=IN_BFLOAT16)]
WHOLE = {"epochs": "2", "batch": "4", "image-size": "256"}
"""Options of the whole proof."""


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def command(*words: object) -> subprocess.CompletedProcess[bytes]:
    """In a process of its own, with the threads that torch takes by itself."""
    line = [sys.executable, "-m", "faster_rcnn", *map(str, words)]
    return subprocess.run(line, check=True, capture_output=True, env=environment())


def environment() -> dict[str, str]:
    """That of this process, without the one thread of the tests."""
    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}


def training(data: Path, out: Path, precision: str, *more: object) -> tuple[object, ...]:
    return "train", data, "--out", out, "--precision", precision, "--threads", 2, "--workers", 2, *more


def files(out: Path) -> list[bytes]:
    """Both models of a run."""
    return [(out / name).read_bytes() for name in MODELS]


def answers(out: Path, data: Path, images: Path, precision: str) -> list[bytes]:
    """What ``predict`` and ``evaluate`` write to standard output."""
    options = "--precision", precision, "--json", "-"
    return [
        command("predict", out, images, "--conf", 0.01, *options).stdout,
        command("evaluate", out, data, "--split", "val", *options).stdout,
    ]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 6, "val": 3})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings_file(tmp_path_factory.mktemp("settings"), epochs=2)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_runs_beside_a_busy_process_are_the_same(precision: str, squares: Path, tiny: Path, tmp_path: Path) -> None:
    """The second one has two busy neighbours."""
    found = []
    for number, neighbours in enumerate((0, 2)):
        out, lines, numbers = (tmp_path / f"{name}-{number}" for name in ("run", "lines", "numbers"))
        with busy_neighbours(neighbours), using_threads(2):
            train_with(squares, config=tiny, out=out, precision=precision, threads=2, workers=2)
            options: dict[str, Any] = {"precision": precision, "device": "cpu"}
            predict(str(out), [str(squares / "images")], conf=0.01, max_det=None, out=None, json=str(lines), **options)
            evaluate(str(out), squares, split="val", json=str(numbers), **options)
        found.append([*files(out), lines.read_bytes(), numbers.read_bytes()])
    assert found[0] == found[1]
    assert b'"score"' in found[0][2]


@pytest.mark.soak
@pytest.mark.parametrize("precision", PRECISIONS)
def test_five_runs_beside_a_busy_process_are_the_same(
    precision: str, data_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """About a minute for each run on two idle cores."""
    data = data_folder("fruits18")
    options = [word for name, value in WHOLE.items() for word in (f"--{name}", value)]
    found = []
    with busy_neighbours(1):
        for number in range(5):
            out = tmp_path / f"run-{number}"
            command(*training(data, out, precision, *options))
            found.append([*files(out), *answers(out, data, data / "images", precision)])
    assert all(each == found[0] for each in found[1:])
    assert b'"score"' in found[0][2]


@pytest.mark.soak
@pytest.mark.skipif(os.name == "nt", reason="processes are killed as on Unix")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_that_is_killed_and_resumed_beside_a_busy_process_is_the_same(
    precision: str, data_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """It is stopped in the middle of an epoch, twice; ``auto`` goes on with what it began with."""
    data, whole, parts = data_folder("fruits18"), tmp_path / "whole", tmp_path / "parts"
    options = [word for name, value in WHOLE.items() for word in (f"--{name}", value)]
    command(*training(data, whole, precision, *options))
    with busy_neighbours(2):
        _stopped_after_steps(3, training(data, parts, precision, *options))
        _stopped_after_steps(2, ("train", data, "--out", parts, "--resume"))
        command("train", data, "--out", parts, "--resume")
    assert files(parts) == files(whole)


SCRIPT = """
import os, signal, sys
from faster_rcnn.cli.main import main
from faster_rcnn.training.display import TrainingDisplay
on_step_end, left = TrainingDisplay.on_step_end, [int(sys.argv[1])]
def counted(display, event):
    on_step_end(display, event)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGTERM)
TrainingDisplay.on_step_end = counted
sys.exit(main(sys.argv[2:]))
"""
"""A command that gets SIGTERM after so many steps."""


def _stopped_after_steps(steps: int, words: tuple[object, ...]) -> None:
    line = [sys.executable, "-c", SCRIPT, str(steps), *map(str, words)]
    assert subprocess.run(line, check=False, capture_output=True).returncode == 128 + signal.SIGTERM
