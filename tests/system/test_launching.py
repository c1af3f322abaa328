from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import launched_work
from faster_rcnn.errors import MachineError
from faster_rcnn.system import launching
from faster_rcnn.system.launching import run_processes

pytestmark = [
    pytest.mark.xdist_group("several processes"),
    pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix"),
]

WORK = launched_work.__file__


def run(count: int, *work: object, **options: Any) -> int:
    return run_processes([str(each) for each in work], count, program=(WORK,), **options)


def until(found: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not found() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(found())


def are_ready(folder: Path) -> bool:
    return all((folder / f"{rank}.ready").exists() for rank in range(2))


def launcher(folder: Path, work: str) -> subprocess.Popen[str]:
    """A command that launches two processes, in a process group of its own, as a shell starts it."""
    command = [sys.executable, WORK, "launch", "2", work, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment)
    assert until(lambda: are_ready(folder) or process.poll() is not None), "they were not started"
    return process


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("codes", "between", "code"),
    [((0, 0), 0, 0), ((2, 2), 0, 2), ((0, 3), 0, 3), ((5, 0), 0, 5), ((4, 2), 0.5, 4), ((143, 143), 0, 143)],
)
def test_the_work_has_the_exit_code_of_the_process_that_failed_first(
    codes: tuple[int, ...], between: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BETWEEN", str(between))
    assert run(2, "end", tmp_path, *codes) == code


def test_processes_know_each_other(tmp_path: Path) -> None:
    assert run(3, "environment", tmp_path) == 0
    found = [(tmp_path / f"{rank}.environment").read_text() for rank in range(3)]
    assert found == [f"{rank} 3 {rank} 3 127.0.0.1 faster-rcnn" for rank in range(3)]


def test_two_launchers_at_once_connect_their_own_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    temporary = tmp_path / "temporary"
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for folder in (*folders, temporary):
        folder.mkdir()
    other = threading.Thread(target=run, args=(2, "connect", folders[0]))
    other.start()
    assert run(2, "connect", folders[1]) == 0
    other.join()
    assert [(each / f"{rank}.sum").read_text() for each in folders for rank in (0, 1)] == ["3 of 2"] * 4
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch.distributed.elastic").propagate
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, r"^process 1 of 2 was killed \(SIGKILL\); if memory is short, use fewer processes"),
        (signal.SIGSEGV, r"^process 1 of 2 crashed \(SIGSEGV\), .*PYTHONFAULTHANDLER=1"),
    ],
)
def test_a_process_that_was_killed_is_named(
    number: signal.Signals, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MachineError, match=message):
        run(2, "be_killed", tmp_path, int(number), 1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda one: str(one)
)
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_signal_lets_the_first_process_save(
    number: signal.Signals, code: int, whole_group: bool, tmp_path: Path
) -> None:
    process = launcher(tmp_path, "step")
    if whole_group:
        os.kill(process.pid, number)  # as timeout does: to the command, then to its group
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (code, "")
    assert (tmp_path / "saved").exists()


def test_a_second_signal_ends_the_processes_at_once(tmp_path: Path) -> None:
    process = launcher(tmp_path, "step")
    process.terminate()
    time.sleep(1.2)  # longer than one signal, and less than the saving
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "")
    assert not (tmp_path / "saved").exists()


def test_a_signal_to_one_process_alone_is_the_end_of_all(tmp_path: Path) -> None:
    process = launcher(tmp_path, "step")
    for rank in (1, 0):  # as training passes it on between its processes
        os.kill(int((tmp_path / f"{rank}.ready").read_text()), signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "")
    assert (tmp_path / "saved").exists()


def test_a_hang_up_that_is_ignored_stays_so(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = launcher(tmp_path, "step")  # it inherits that, as under nohup
        assert run(1, "end", tmp_path, 0) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_processes_that_are_stuck_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(launching, "SECONDS_TO_END", 0.5)

    def interrupt() -> None:
        assert until(lambda: are_ready(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    assert run(2, "be_stuck", tmp_path) == 143
    own = [each for each in caplog.records if each.name.startswith("faster_rcnn.")]
    assert [each.getMessage() for each in own if each.levelno >= logging.WARNING] == [
        "process 0, 1 of 2 has not ended in time, and is killed"
    ]
    assert not any(lives(int((tmp_path / f"{rank}.ready").read_text())) for rank in range(2))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_processes_end_with_a_launcher_that_was_killed(tmp_path: Path) -> None:
    process = launcher(tmp_path, "step")
    started = [int((tmp_path / f"{rank}.ready").read_text()) for rank in range(2)]
    assert all(map(lives, started))
    process.kill()
    process.communicate()
    assert until(lambda: not any(map(lives, started)), 10)


def test_handlers_of_signals_are_restored(tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    before = [signal.getsignal(each) for each in numbers]
    assert run(1, "end", tmp_path, 0) == 0
    assert [signal.getsignal(each) for each in numbers] == before


def test_lines_of_errors_can_be_taken(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    assert run(2, "errors", tmp_path, line_done=lines.append) == 0
    assert sorted(lines) == ["one of 0", "one of 1", "two of 0", "two of 1"]
    assert capfd.readouterr() == ("", "")
    assert run(1, "errors", tmp_path) == 0
    assert capfd.readouterr().err == "one of 0\ntwo of 0\n"


def test_what_torch_logs_are_details(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "faster_rcnn")
    assert run(1, "end", tmp_path, 3) == 3
    own = [each for each in caplog.records if each.name.startswith("faster_rcnn.")]
    details = [each for each in own if "failed (exitcode: 3)" in each.getMessage()]
    assert [(each.name, each.levelno) for each in details] == [("faster_rcnn.system.launching", logging.DEBUG)]
    assert logging.getLogger("torch.distributed.elastic").propagate


def test_a_program_that_cannot_be_started_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(MachineError, match=r"^2 processes cannot be started: .*nowhere"):
        run(2, "end", tmp_path, 0, 0)


def test_modules_of_the_working_folder_are_found_where_this_process_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "yaml.py").write_text("raise SystemExit(9)")  # a file of the user's, with the name of a package
    program = ("-m", "faster_rcnn", "--version")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    assert run_processes(["config"], 1, program=program[:2], line_done=lambda line: None) == 0
    monkeypatch.syspath_prepend("")
    assert run_processes(["config"], 1, program=program[:2], line_done=lambda line: None) == 9
