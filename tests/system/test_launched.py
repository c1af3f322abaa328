from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from faster_rcnn.system.launched import (
    end_with_launcher,
    is_launched,
    is_reported_on,
    leave_out_details_of_torch,
)


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, role: str) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "RANK": str(rank), "ROLE_NAME": role}.items():
        monkeypatch.setenv(name, value)


def test_a_process_that_no_launcher_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "1")  # a batch system may set it
    assert (is_launched(), is_reported_on()) == (False, False)
    before = threading.active_count()
    end_with_launcher()
    assert threading.active_count() == before


def test_one_thread_watches_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, object]] = []

    class Started(threading.Thread):
        def start(self) -> None:
            started.append({"name": self.name, "daemon": self.daemon})

    launched(monkeypatch, 1, "default")
    monkeypatch.setattr(threading, "Thread", Started)
    end_with_launcher()
    assert started == [{"name": "watch of the launcher", "daemon": True}]
    monkeypatch.setattr(threading, "enumerate", lambda: [Started(name="watch of the launcher")])
    end_with_launcher()
    assert len(started) == 1


def test_processes_of_torchrun_and_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    launched(monkeypatch, 0, "default")
    assert (is_launched(), is_reported_on()) == (True, False)
    launched(monkeypatch, 1, "faster-rcnn")
    assert (is_launched(), is_reported_on()) == (True, True)


def test_a_process_ends_after_its_parent() -> None:
    child = (
        "import sys, time; from faster_rcnn.system.launched import end_with_launcher; end_with_launcher(); "
        "print('ready', flush=True); time.sleep(60)"
    )
    parent = (
        f"import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE); "
        "child.stdout.readline(); print(child.pid, flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "TORCHELASTIC_RUN_ID": "a", "RANK": "0"}
    process = subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    child_id = int(process.stdout.readline())
    os.kill(child_id, 0)
    process.kill()
    process.communicate()
    for _ in range(1000):
        try:
            os.kill(child_id, 0)
        except ProcessLookupError:
            return
        threading.Event().wait(0.01)
    raise AssertionError("it lives on")


def test_torch_logs_no_details_in_launched_processes_unless_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.delenv("TORCH_CPP_LOG_LEVEL", raising=False)
    leave_out_details_of_torch()
    assert "TORCH_CPP_LOG_LEVEL" not in os.environ
    launched(monkeypatch, 1, "default")
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "INFO")
    leave_out_details_of_torch()
    assert os.environ["TORCH_CPP_LOG_LEVEL"] == "INFO"
    monkeypatch.delenv("TORCH_CPP_LOG_LEVEL")
    leave_out_details_of_torch()
    assert os.environ.pop("TORCH_CPP_LOG_LEVEL") == "ERROR"
