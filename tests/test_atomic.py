"""Files are whole or not there: the old one survives every failure, and no temporary one is left behind."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from faster_rcnn.atomic import atomic_write
from faster_rcnn.errors import MachineError


def test_new_file_takes_the_place_of_the_old(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent, "a rename is whole only within one folder"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a" / "model.bin"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError])
def test_interruption_keeps_the_old_file(tmp_path: Path, interruption: type[BaseException]) -> None:
    path = tmp_path / "model.bin"
    path.write_text("old")
    with pytest.raises(interruption), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise interruption
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_full_disk_keeps_the_old_file(tmp_path: Path, number: int) -> None:
    path = tmp_path / "model.bin"
    path.write_text("old")
    message = r"E133 no space left .*model\.bin; the old file is kept"
    with pytest.raises(MachineError, match=message), atomic_write(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError(number, "full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_without_an_old_file_promises_none(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as fault, atomic_write(tmp_path / "model.bin"):
        raise OSError(errno.ENOSPC, "full")
    assert "old file" not in str(fault.value)
    assert fault.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_full_disk_under_torch_save(tmp_path: Path) -> None:
    # A limit on the size of files is met in the same place as a full disk; it holds for one process only.
    script = f"""
import pathlib, resource, signal, torch
from faster_rcnn.errors import MachineError
from faster_rcnn.atomic import atomic_write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
try:
    with atomic_write(pathlib.Path({str(tmp_path / "state.pt")!r})) as temporary:
        torch.save(torch.zeros(100_000), temporary)
except MachineError as error:
    print(error)
"""
    path = tmp_path / "state.pt"
    torch.save(torch.ones(3), path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("E133 no space left"), done.stderr
    assert torch.equal(torch.load(path, weights_only=True), torch.ones(3))
    assert list(tmp_path.iterdir()) == [path]


def test_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(MachineError, match=r"cannot write .*out"), atomic_write(tmp_path / "out") as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
