"""One process writes to a folder: a second process is refused, a dead one holds no lock, and no file is left behind."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.system import locking
from faster_rcnn.system.locking import LOCK, is_held, only_writer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")

HOLDER = """
import os, pathlib, sys, time
from faster_rcnn.system.locking import only_writer
first, second = (pathlib.Path(sys.argv[1]) / name for name in "ab")
with only_writer(first), only_writer(second):
    if os.fork() == 0:
        print(os.getpid(), flush=True)  # by the child itself: it has closed the lock by now
    time.sleep(600)
"""


def test_a_second_writer_is_refused_and_the_lock_ends_with_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "cells"
    with only_writer(folder):
        assert is_held(folder)
        with pytest.raises(OptionError, match=rf"^E132 {folder} is being written to by process {os.getpid()}; wait"):
            only_writer(folder).__enter__()
        (folder / "model").touch()
    assert [each.name for each in folder.iterdir()] == ["model"]
    assert not is_held(folder)
    with only_writer(folder):
        pass


def test_new_folders_that_stay_empty_are_removed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "mine", tmp_path / "new" / "run"):
        with pytest.raises(ZeroDivisionError), only_writer(folder):
            raise ZeroDivisionError
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_a_killed_process_holds_no_lock_though_its_child_lives(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        for name in "ab":
            with pytest.raises(OptionError, match=rf"by process {holder.pid};"):
                only_writer(tmp_path / name).__enter__()
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # it lives
        for name in "ab":
            with only_writer(tmp_path / name):
                pass
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()
    assert [each for folder in tmp_path.iterdir() for each in folder.iterdir()] == []


def test_any_number_of_locks_needs_one_hook_for_forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "register_at_fork", lambda **hook: hooks.append(hook))
        locking._held.cache_clear()
        for name in "abc":
            with only_writer(tmp_path / name):
                pass
    locking._held.cache_clear()
    assert len(hooks) == 1


def test_the_holder_is_named_as_far_as_the_file_names_it(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        for text, named in {
            "12 elsewhere\n": "process 12 of the machine elsewhere;",
            "": "another process;",
            "\x1b[2J": "another process;",
        }.items():
            (tmp_path / LOCK).write_text(text)
            with pytest.raises(OptionError, match=named):
                only_writer(tmp_path).__enter__()


def test_the_lock_file_of_another_process_is_not_removed(tmp_path: Path) -> None:
    with only_writer(tmp_path):
        (tmp_path / LOCK).rename(tmp_path / "old")
        (tmp_path / LOCK).touch()
    assert sorted(each.name for each in tmp_path.iterdir()) == [LOCK, "old"]


def test_a_lock_file_that_its_holder_removed_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[int] = []
    lock = locking.lock

    def late(descriptor: int) -> bool:
        if not locked:
            (tmp_path / LOCK).unlink()
        locked.append(descriptor)
        return lock(descriptor)

    monkeypatch.setattr(locking, "lock", late)
    with only_writer(tmp_path):
        assert len(locked) == 2
        assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} ")


def test_without_locks_there_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with caplog.at_level(logging.WARNING), only_writer(tmp_path):
        assert not is_held(tmp_path)
    [record] = caplog.records
    assert record.getMessage().startswith(f"{tmp_path} lies on a file system without locks (No locks available)")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    for folder in (tmp_path / "mine" / "run", Path("/proc/nope"), tmp_path):
        with pytest.raises(MachineError, match=rf"^--out {folder}: nothing can be written there: .*; name another"):
            only_writer(folder).__enter__()
    assert (tmp_path / "mine").read_text() == "mine"
