"""Runs that are stopped from outside: all is saved, one line says how to go on, and the exit code is the signal's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from made_data import make_squares, training_config

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "my data", {"train": 6, "val": 2})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(training_config(epochs=500, workers=1).model_dump(mode="json")))
    return path


def started(data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """``train`` in a process group of its own."""
    command = [sys.executable, "-m", "faster_rcnn", "train", str(data), "--out", str(out), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(path: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


def children_of(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def told_by(process: subprocess.Popen[str]) -> str:
    _, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    assert "internal fault" not in told
    return told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("whole_group", [True, False])
def test_an_interruption_saves_and_says_how_to_go_on(
    squares: Path, config: Path, tmp_path: Path, number: signal.Signals, code: int, whole_group: bool
) -> None:
    run = tmp_path / "run"
    process = started(squares, run, "--config", str(config))
    wait_for(run / "metrics.csv")
    if whole_group:
        os.kill(process.pid, number)  # as timeout does: to the command, then to its group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    told = told_by(process)
    assert process.returncode == code, told
    assert f"go on with: faster-rcnn train '{squares}' --out {run} --resume" in told
    steps = int(told.split("saved after step ")[1].split(";")[0])
    again = started(squares, run, "--resume")
    assert again.stderr is not None
    line = next((each for each in again.stderr if "going on" in each), "nothing")
    again.kill()
    again.communicate()
    assert f"after step {steps}" in line


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
def test_a_reader_that_the_system_kills_is_one_line_and_nothing_is_lost(
    squares: Path, config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = started(squares, run, "--config", str(config))
    wait_for(run / "metrics.csv")
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    told = told_by(process)
    assert process.returncode == 5, told
    assert re.search(r"error: a process that reads images ended \(.*\); .*--workers 0", told)
    assert "saved after step " in told
    assert (run / "state.pt").exists()


def test_a_signal_before_the_first_step_leaves_no_run_behind(squares: Path, config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(squares, run, "--config", str(config))
    assert process.stderr is not None
    assert "training on" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGTERM)
    told = told_by(process)
    assert process.returncode == 143, told
    assert told == "faster-rcnn: interrupted\n"
    assert not run.exists()
