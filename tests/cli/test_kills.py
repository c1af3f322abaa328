"""``kill -9`` at any moment: no process and no half-written file stays, and the run ends as if nothing had happened."""

from __future__ import annotations

import csv
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.errors import OptionError
from made_data import make_squares, settings_file, train_with

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc")

TIMES = ("training_seconds", "validation_seconds")

Moment = Callable[[subprocess.Popen[bytes], Path, random.Random], None]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 9, "val": 2})


def settings(folder: Path, epochs: int) -> Path:
    return settings_file(folder, epochs=epochs, workers=2, threads=1)


def until(found: Callable[[], Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:
        time.sleep(0.002)
    return bool(found())


def processes_with(argument: str) -> list[int]:
    """Living processes that were started, or forked from one that was, with this argument."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            lives = (each / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if lives and argument.encode() in (each / "cmdline").read_bytes().split(b"\0"):
                found.append(int(each.name))
        except OSError:
            continue  # it has just ended
    return found


def log_of(run: Path) -> Path:
    return run.with_suffix(".log")


def started(data: Path, run: Path, config: Path) -> subprocess.Popen[bytes]:
    """The command that begins the run, or goes on with it."""
    if not (run / "state.pt").exists():
        shutil.rmtree(run, ignore_errors=True)  # killed before its first state: train would require another folder
    how = ["--resume"] if run.exists() else ["--config", str(config)]
    command = [sys.executable, "-m", "faster_rcnn", "train", str(data), "--out", str(run), *how]
    with log_of(run).open("w") as log:
        return subprocess.Popen(command, stderr=log)


def trains(process: subprocess.Popen[bytes], run: Path) -> None:
    assert until(lambda: "its highest is" in log_of(run).read_text() or process.poll() is not None, 300)
    assert process.poll() is None, log_of(run).read_text()


def anywhere(process: subprocess.Popen[bytes], run: Path, seeded: random.Random) -> None:
    time.sleep(seeded.uniform(0, 4))


def after_first_state(process: subprocess.Popen[bytes], run: Path, seeded: random.Random) -> None:
    before = written_at(run / "state.pt")
    assert until(lambda: written_at(run / "state.pt") != before or process.poll() is not None, 300)


def in_training(process: subprocess.Popen[bytes], run: Path, seeded: random.Random) -> None:
    after_first_state(process, run, seeded)
    time.sleep(seeded.uniform(0, 1.5))


def in_writing(process: subprocess.Popen[bytes], run: Path, seeded: random.Random) -> None:
    """While one of the first files is written: settings, numbers, models, state."""
    trains(process, run)
    parts: set[Path] = set()
    wanted = seeded.randint(1, 5)

    def so_many() -> bool:
        parts.update(run.glob(".*.part"))
        return len(parts) >= wanted

    until(so_many, 10)


def written_at(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def killed(process: subprocess.Popen[bytes], run: Path) -> None:
    """Kill the command alone; all that it started ends by itself."""
    assert process.poll() is None, log_of(run).read_text()
    process.kill()
    process.wait()
    assert until(lambda: not processes_with(str(run)), 10), processes_with(str(run))


def ends_as(run: Path, whole: Path) -> None:
    """All that the one run wrote, the other one wrote; what times differ in aside, the same."""
    assert sorted(each.name for each in run.iterdir()) == sorted(each.name for each in whole.iterdir())
    for name in ("best.safetensors", "last.safetensors", "config.yaml", "data.json"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    one, other = (list(csv.DictReader((each / "metrics.csv").read_text().splitlines())) for each in (run, whole))
    assert [{**row, **dict.fromkeys(TIMES)} for row in one] == [{**row, **dict.fromkeys(TIMES)} for row in other]


def kill_and_resume(data: Path, folder: Path, moments: Sequence[Moment], epochs: int) -> None:
    """Each start writes a state after its first epoch, and the next one half a minute later: kills come before that."""
    config, seeded = settings(folder, epochs), random.Random(epochs)
    for moment in moments:
        process = started(data, folder / "run", config)
        try:
            moment(process, folder / "run", seeded)
        finally:
            killed(process, folder / "run")
    train_with(data, out=folder / "run", resume=True)
    ends_as(folder / "run", train_with(data, out=folder / "whole", config=config))


def test_a_run_that_is_killed_twice_ends_as_one_that_is_not(squares: Path, tmp_path: Path) -> None:
    kill_and_resume(squares, tmp_path, [in_writing, after_first_state], epochs=5)


@pytest.mark.soak
def test_a_run_that_is_killed_25_times_ends_as_one_that_is_not(squares: Path, tmp_path: Path) -> None:
    """Some of the moments are while a file is written, of which a half then stays."""
    moments: list[Moment] = [*[anywhere] * 7, *[in_training] * 10, *[in_writing] * 7]
    random.Random(1).shuffle(moments)
    kill_and_resume(squares, tmp_path, [*moments, after_first_state], epochs=60)


def test_two_at_once_are_refused_and_readers_are_not(squares: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(squares, run, settings(tmp_path, 500))
    try:
        after_first_state(process, run, random.Random(0))
        with pytest.raises(OptionError, match=rf"^E132 {run} is being written to by process {process.pid};") as raised:
            train_with(squares, out=run, resume=True)
        assert raised.value.exit_code == 2
        evaluate(str(run), squares, split="val", precision="float32", json=None)
    finally:
        killed(process, run)
    assert os.listdir(run)
