"""Only files are opened for reading: pipes and devices are refused at once, since no process may ever write to them."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faster_rcnn.system.files import is_special, open_file, read_argument, read_bytes, read_pipe


def test_a_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"cat")
    (tmp_path / "link.txt").symlink_to(tmp_path / "a.txt")
    assert read_bytes(tmp_path / "link.txt") == read_argument(tmp_path / "a.txt") == b"cat"


def test_a_named_pipe_a_device_and_a_socket_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.json"))
    kinds = {
        tmp_path / "pipe.json": "a named pipe",
        Path("/dev/zero"): "a device",
        tmp_path / "socket.json": "a socket",
    }
    for path, kind in kinds.items():
        for read in (open_file, read_bytes, read_argument):
            with pytest.raises(OSError, match=f"it is {kind}, not a file; save its content in a file"):
                read(path)


def test_a_folder_and_an_absent_file_stay_the_errors_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have_is_an_error_of_the_system(tmp_path: Path, name: str) -> None:
    with pytest.raises(OSError, match="no file can have such a name"):
        open_file(tmp_path / name)


def test_a_stream_that_the_shell_hands_over_is_read_as_an_argument_alone() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"lr: 1")
    os.close(writing)
    with pytest.raises(OSError, match="a named pipe"):
        read_bytes(Path(f"/dev/fd/{reading}"))
    assert read_argument(Path(f"/dev/fd/{reading}")) == b"lr: 1"
    os.close(reading)


def test_a_pointer_of_git_lfs_is_no_content(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(OSError, match=r"it is a pointer of Git LFS, not the file itself; fetch that .*: git lfs pull"):
        read_bytes(path)


def test_special_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    special = {"pipe": True, "file": False, "none": False, "/dev/null": True, ".": False}
    assert {name: is_special(str(tmp_path / name)) for name in special} == special


def test_a_pipe_is_read_to_its_end_once_somebody_writes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    content = bytes(range(256)) * 1000
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(read_pipe, tmp_path / "pipe", 60)
        (tmp_path / "pipe").write_bytes(content)
        assert found.result(timeout=60) == content
    assert read_pipe(tmp_path / "pipe", seconds=0) is None
    assert read_pipe(tmp_path / "none") is None


def test_a_writer_may_take_its_time() -> None:
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(read_pipe, Path(f"/dev/fd/{reading}"), 0)
        with pytest.raises(TimeoutError):
            found.result(timeout=0.3)
        os.write(writing, b"late")
        os.close(writing)
        assert found.result(timeout=60) == b"late"
    os.close(reading)
