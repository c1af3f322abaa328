"""Runs of several processes that are killed again and again end as if nothing had happened."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from faster_rcnn.training.run_folder import read_state

pytestmark = pytest.mark.soak

KILLED_SINGLY, KILLED_TOGETHER, SIGNALLED = 12, 8, 10
"""Numbers of times that one process is killed, that all are, and that all are asked to end."""
LONGEST = 25.0
"""Seconds after a start within which a process is killed: in loading, in an epoch, in a validation, in a write."""
TRAIN = ["train", "--epochs", "3", "--image-size", "160", "--workers", "2", "--threads", "1", "--precision", "float32"]


def command(data: Path, out: Path, *more: str) -> list[str]:
    return [*TRAIN[:1], str(data), *TRAIN[1:], "--out", str(out), *more]


def torchrun(arguments: Sequence[str], restarts: int = 0) -> subprocess.Popen[bytes]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*launcher, "--max-restarts", str(restarts), "-m", "faster_rcnn", *arguments], start_new_session=True
    )


def processes_of(group: int) -> list[int]:
    """The running processes of a group that torchrun leads."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and os.getpgid(int(folder.name)) == group:
                found.append(int(folder.name))
        except (OSError, ValueError):
            continue
    return found


def trainers_of(launcher: int) -> list[int]:
    """The processes that the launcher started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return [int(each) for each in children]


@pytest.fixture(scope="module")
def whole(data_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert torchrun(command(data_folder("fruits18"), out)).wait(900) == 0
    return out


def assert_same_run(out: Path, whole: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_torchrun_takes_up_a_run_whose_processes_are_killed_one_by_one(
    whole: Path, data_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    moments, out = random.Random(0), tmp_path / "run"
    launcher = torchrun(command(data_folder("fruits18"), out), restarts=KILLED_SINGLY + 1)
    kills = 0
    while kills < KILLED_SINGLY and launcher.poll() is None:
        time.sleep(moments.uniform(3, LONGEST))
        if trainers := trainers_of(launcher.pid):
            os.kill(moments.choice(trainers), signal.SIGKILL)
            kills += 1
    assert launcher.wait(900) == 0
    assert kills > KILLED_SINGLY // 2  # the run may end before the last one
    assert_same_run(out, whole)


def test_a_run_whose_processes_are_all_killed_goes_on(
    whole: Path, data_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    moments, out = random.Random(1), tmp_path / "run"
    for _ in range(KILLED_TOGETHER):
        launcher = torchrun(command(data_folder("fruits18"), out, *(["--resume"] if _holds_state(out) else [])))
        time.sleep(moments.uniform(3, LONGEST))
        for process in processes_of(launcher.pid):
            os.kill(process, signal.SIGKILL)
        launcher.wait()
        if not _holds_state(out):
            subprocess.run(["rm", "-r", "-f", out], check=True)
        if (out / "summary.json").exists():
            break
    else:
        assert torchrun(command(data_folder("fruits18"), out, "--resume")).wait(900) == 0
    assert_same_run(out, whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_to_the_group_end_a_run_between_two_steps(
    number: signal.Signals, whole: Path, data_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    moments, out, steps = random.Random(int(number)), tmp_path / "run", 0
    for _ in range(SIGNALLED // 2):
        more = ["--processes", "2", *(["--resume"] if _holds_state(out) else [])]
        run = subprocess.Popen(
            [sys.executable, "-m", "faster_rcnn", *command(data_folder("fruits18"), out, *more)], start_new_session=True
        )
        time.sleep(moments.uniform(8, LONGEST))
        if run.poll() is not None:
            break
        os.killpg(run.pid, number)
        code = run.wait(120)
        # After the end of the command the system ends the process, as it does before the beginning.
        assert code in (128 + number, 0) or (code == -number and (out / "summary.json").exists())
        assert processes_of(run.pid) == []
        if _holds_state(out):
            state = read_state(out)
            assert state is not None
            assert state["progress"].step >= steps
            steps = state["progress"].step
    more = ["--resume"] if _holds_state(out) else ["--processes", "2"]
    if not (out / "summary.json").exists():
        assert (
            subprocess.run(
                [sys.executable, "-m", "faster_rcnn", *command(data_folder("fruits18"), out, *more)], check=False
            ).returncode
            == 0
        )
    assert_same_run(out, whole)


def _holds_state(out: Path) -> bool:
    return (out / "state.pt").exists()
