"""``train --processes 2``: one command, whatever ends it; nothing stays behind, and each line is shown once."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from made_data import make_squares, settings_file

pytestmark = [
    pytest.mark.xdist_group("several processes"),
    pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes are found in /proc"),
]


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "my data", {"train": 4, "val": 2})


def started(data: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "faster_rcnn", "train", str(data), "--out", str(out), *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def long_run(data: Path, folder: Path) -> subprocess.Popen[str]:
    """A run in two processes that has done its first epoch, and has hundreds to do."""
    config = settings_file(folder, epochs=500, workers=1)
    process = started(data, folder / "run", "--config", str(config), "--processes", "2")
    assert until(lambda: (folder / "run/metrics.csv").exists() or process.poll() is not None, 180)
    assert process.poll() is None, process.communicate()
    return process


def until(found: object, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:  # type: ignore[operator]
        time.sleep(0.02)
    return bool(found())  # type: ignore[operator]


def output_of(process: subprocess.Popen[str]) -> list[str]:
    _, output = process.communicate(timeout=120)
    assert "Traceback" not in output
    assert "internal fault" not in output
    return output.splitlines()


def processes_of(run: Path) -> list[int]:
    """Living processes that train in the folder ``run``, their workers that read images included."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            lives = (each / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if lives and str(run) in (each / "cmdline").read_text():
                found.append(int(each.name))
        except OSError:
            continue  # it has just ended
    return found


def process_of_rank(run: Path, rank: int) -> int:
    for process in processes_of(run):
        environment = Path(f"/proc/{process}/environ").read_text().split("\0")
        parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        if f"RANK={rank}" in environment and f"RANK={rank}" not in Path(f"/proc/{parent}/environ").read_text():
            return process
    raise LookupError(rank)


def test_a_run_in_two_processes_shows_each_line_once_and_goes_on_in_two(squares: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = settings_file(tmp_path, epochs=1)
    process = started(squares, run, "--config", str(config), "--processes", "2")
    lines = output_of(process)
    assert process.returncode == 0, lines
    assert len(lines) == len(set(lines)), lines
    assert lines[0].endswith(f"training on {squares}")
    assert "processes: 2" in (run / "config.yaml").read_text()
    process = started(squares, run, "--resume", "--epochs", "2")
    lines = output_of(process)
    assert process.returncode == 0, lines
    assert any("in each of 2 processes" in each for each in lines)
    assert len(list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))) == 2


def test_a_signal_saves_the_run(squares: Path, tmp_path: Path) -> None:
    process = long_run(squares, tmp_path)
    process.terminate()
    *_, saved, interrupted = output_of(process)
    assert process.returncode == 143
    assert interrupted == "faster-rcnn: interrupted"
    assert re.fullmatch(rf"saved after step \d+; go on with: .* --out {tmp_path / 'run'} --resume", saved)
    assert not processes_of(tmp_path / "run")


def test_a_process_that_is_killed_is_named_in_one_line(squares: Path, tmp_path: Path) -> None:
    process = long_run(squares, tmp_path)
    os.kill(process_of_rank(tmp_path / "run", 1), signal.SIGKILL)
    lines = output_of(process)
    assert process.returncode == 5, lines
    assert [each for each in lines if each.startswith("faster-rcnn: ")] == [
        "faster-rcnn: error: process 1 of 2 was killed (SIGKILL); if memory is short, use fewer processes or a smaller "
        "--batch"
    ]
    assert until(lambda: not processes_of(tmp_path / "run"), 10)


def test_no_process_outlives_a_launcher_that_is_killed(squares: Path, tmp_path: Path) -> None:
    process = long_run(squares, tmp_path)
    assert len(processes_of(tmp_path / "run")) == 5  # the launcher, two that train, and what reads their images
    process.kill()
    process.communicate()
    assert until(lambda: not processes_of(tmp_path / "run"), 10)


def test_an_error_is_one_line(squares: Path, tmp_path: Path) -> None:
    process = started(squares, tmp_path / "run", "--processes", "2", "--set", "data.train=nowhere.json")
    _, *others = output_of(process)
    assert (process.returncode, len(others)) == (2, 1)
    assert others[0].startswith("faster-rcnn: error: E101 ")
    assert not (tmp_path / "run").exists()
