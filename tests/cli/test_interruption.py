"""Runs that a signal stops: all is saved, one line names the way to continue, and the exit code is the signal's."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from faster_rcnn import Detector
from faster_rcnn.system.signals import Signalled
from faster_rcnn.training import session
from faster_rcnn.training.callback import Callback, RunStart
from made_data import make_squares, settings_file, train_with

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "my data", {"train": 4, "val": 1})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return settings_file(tmp_path, epochs=500, batch=2, workers=1)


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


def output_of(process: subprocess.Popen[str]) -> str:
    _, output = process.communicate(timeout=60)
    assert "Traceback" not in output
    assert "internal fault" not in output
    return output


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("whole_group", [True, False])
def test_an_interruption_saves_and_names_the_way_to_continue(
    squares: Path,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
    whole_group: bool,
) -> None:
    run = tmp_path / "run"
    process = started(squares, run, "--config", str(config))
    wait_for(run / "metrics.csv")
    if whole_group:
        os.kill(process.pid, number)  # as timeout does: to the command, then to its group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output = output_of(process)
    assert process.returncode == code, output
    assert f"go on with: faster-rcnn train '{squares}' --out {run} --resume" in output
    steps = int(output.split("saved after step ")[1].split(";")[0])
    with pytest.raises(BegunError):
        train_with(squares, out=run, resume=True, callbacks=[Begin(steps)])
    assert f"going on in {run} after step {steps}, " in capsys.readouterr().err


class BegunError(Exception):
    """A run has begun, and need not end."""


class Begin(Callback):
    """Ends a run that goes on after so many steps before its next one."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_run_start(self, event: RunStart) -> None:
        assert event.step == self.steps
        raise BegunError


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in /proc")
def test_a_reader_that_the_system_kills_is_one_line_and_nothing_is_lost(
    squares: Path, config: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = started(squares, run, "--config", str(config))
    wait_for(run / "metrics.csv")
    os.kill(children_of(process.pid)[0], signal.SIGKILL)
    output = output_of(process)
    assert process.returncode == 5, output
    assert re.search(r"error: a process that reads images ended \(.*\); .*--workers 0", output)
    assert "saved after step " in output
    assert (run / "state.pt").exists()


def test_a_signal_before_the_first_step_leaves_no_run_behind(squares: Path, config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = started(squares, run, "--config", str(config))
    assert process.stderr is not None
    assert "training on" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGTERM)
    output = output_of(process)
    assert process.returncode == 143, output
    assert output == "faster-rcnn: interrupted\n"
    assert not run.exists()


def test_a_signal_during_the_report_leaves_a_run_that_can_continue(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Path:
        raise Signalled(signal.SIGTERM)

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(session, "write_report", interrupted)
        with pytest.raises(Signalled):
            train_with(squares, config=config, out=run, epochs=1, workers=0)
    assert (
        f"saved after step 2; go on with: faster-rcnn train '{squares}' --out {run} --resume" in capsys.readouterr().err
    )
    assert not (run / "summary.json").exists()
    train_with(squares, out=run, resume=True)
    assert (run / "report.html").exists()
    assert (run / "summary.json").exists()


def test_a_script_without_a_main_guard_gets_an_explanation(squares: Path, config: Path, tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text(
        "import multiprocessing\n"
        "from faster_rcnn import Detector\n"
        "multiprocessing.set_start_method('spawn', force=True)  # as on macOS and Windows\n"
        f"Detector.train({str(squares)!r}, config={str(config)!r}, workers=1)\n"
    )
    paths = [str(Path(each)) for each in sys.path if each]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    output = [line for line in done.stderr.splitlines() if line.startswith("faster_rcnn.errors.")]
    assert [line.split(":")[0] for line in output] == [
        "faster_rcnn.errors.OptionError",
        "faster_rcnn.errors.MachineError",
    ]
    assert all("below if __name__ == '__main__':" in line for line in output)
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["my data"]


def _train_here(data: Path, config: Path, out: Path, answer: multiprocessing.queues.Queue[str]) -> None:
    answer.put(str(Detector.train(data, config=config, out=out, epochs=1)))


def test_a_daemonic_process_trains(squares: Path, config: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.queues.Queue[str] = context.Queue()
    arguments = (squares, config, tmp_path / "run", answer)
    process = context.Process(target=_train_here, args=arguments, daemon=True)
    process.start()
    assert "2 classes: dark, light" in answer.get(timeout=120)
    process.join()
