"""Files are complete or absent: an old file survives every failure, and no temporary file is left behind."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import MachineError
from faster_rcnn.system import atomic
from faster_rcnn.system.atomic import atomic_write, is_stream, open_stream, quick_write, refuse_unwritable
from faster_rcnn.system.locking import lock


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
from faster_rcnn.system.atomic import atomic_write, is_stream, open_stream, quick_write, refuse_unwritable
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


def write(path: Path, text: str = "new") -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "found.jsonl", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(Path("real") / "found.jsonl")
    write(link)
    assert link.readlink() == Path("real/found.jsonl")
    assert target.read_text() == "new"
    assert list((tmp_path / "real").iterdir()) == [target]


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "later" / "file")
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "later" / "file").read_text() == "new"


def test_another_name_of_the_old_file_keeps_the_old_content(tmp_path: Path) -> None:
    (tmp_path / "image.jpg").write_text("old")
    (tmp_path / "picture.jpg").hardlink_to(tmp_path / "image.jpg")
    with quick_write(tmp_path / "picture.jpg") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "image.jpg").read_text() == "old"
    assert (tmp_path / "picture.jpg").read_text() == "new"


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_pipe_is_written_to_and_stays(tmp_path: Path, through_a_link: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if through_a_link else pipe
    if through_a_link:
        path.symlink_to(pipe)
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(pipe.read_text)
        write(path)
        assert reader.result(timeout=30) == "new"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert {each.name for each in tmp_path.iterdir()} <= {"pipe", "link"}


def test_a_device_is_written_to_and_stays() -> None:
    before = os.stat(os.devnull)
    write(Path(os.devnull))
    after = os.stat(os.devnull)
    assert stat.S_ISCHR(after.st_mode)
    assert (after.st_ino, after.st_rdev) == (before.st_ino, before.st_rdev)


def test_writing_to_an_open_file_continues_where_its_owner_stopped(tmp_path: Path) -> None:
    """Descriptors such as the shell's ``>(...)``, and /dev/stdout where that is a file with content."""
    with (tmp_path / "log").open("w") as file:
        file.write("before\n")
        file.flush()
        path = Path(f"/dev/fd/{file.fileno()}")
        assert is_stream(path)
        write(path)
        with open_stream(path) as stream:
            stream.write(b" and more")
    assert (tmp_path / "log").read_text() == "before\nnew and more"
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def test_a_number_that_is_no_open_file_is_a_fault_of_the_machine() -> None:
    with pytest.raises(MachineError, match=r"cannot write /dev/fd/987: Bad file descriptor"):
        write(Path("/dev/fd/987"))


def test_nothing_is_written_into_a_stream_after_an_interruption(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        path = Path(f"/dev/fd/{file.fileno()}")
        with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:  # noqa: PT012
            temporary.write_text("half")
            raise KeyboardInterrupt
    assert (tmp_path / "log").read_text() == ""


def test_permissions_of_the_old_file_are_kept(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("old")
    (tmp_path / "private").chmod(0o600)
    write(tmp_path / "private")
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "\udce9.jpg", "two\nlines"])
def test_any_name_that_a_file_can_have(tmp_path: Path, name: str) -> None:
    refuse_unwritable(tmp_path / name)
    write(tmp_path / name)
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_writable_path_is_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    for path in (tmp_path / "old", tmp_path / "new", tmp_path / "a" / "b" / "c"):
        refuse_unwritable(path)
    assert [each.name for each in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize("name", ["/proc/nope/file", "/proc/version", "{tmp}/folder", "{tmp}/file/x", "{tmp}/loop",
                                  "{tmp}/" + "x" * 256])  # fmt: skip
def test_an_unwritable_path_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = Path(name.format(tmp=tmp_path))
    with pytest.raises(MachineError, match="cannot write"):
        refuse_unwritable(path)
    assert {each.name for each in tmp_path.iterdir()} == {"folder", "file", "loop"}


def test_a_file_that_is_protected_from_writing_is_refused(tmp_path: Path) -> None:
    script = f"""
import os, pathlib
from faster_rcnn.system.atomic import refuse_unwritable
if os.getuid() == 0:
    os.setuid(65534)
for name in ("protected", "closed/new"):
    try:
        refuse_unwritable(pathlib.Path({str(tmp_path)!r}) / name)
    except Exception as error:
        print(error)
"""
    (tmp_path / "protected").touch(0o444)
    (tmp_path / "closed").mkdir(0o555)
    # Entered by another user: pytest keeps its folders to their owner.
    above = [each for each in tmp_path.parents if any(part.startswith("pytest-of-") for part in each.parts)]
    for folder in (tmp_path, *above):
        folder.chmod(0o711)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert [line.partition(": ")[2] for line in done.stdout.splitlines()] == [
        "Permission denied; the old file is kept",
        "Permission denied",
    ]


HALF = """
import pathlib, sys, time
from faster_rcnn.system import atomic
with getattr(atomic, sys.argv[1])(pathlib.Path(sys.argv[2])) as temporary:
    temporary.write_text("half")
    print(flush=True)
    time.sleep(600)
"""


def half_written(path: Path, write: str = "atomic_write") -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HALF, write, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
@pytest.mark.parametrize("write_one", ["atomic_write", "quick_write"])
def test_files_of_killed_processes_are_removed_and_those_of_living_ones_are_not(tmp_path: Path, write_one: str) -> None:
    living, dead = (half_written(tmp_path / name, write_one) for name in ("living", "dead"))
    killed(dead)
    others = {".1-0123abcd.part.bak", "1-0123abcd.part", ".1-0123ABCD.part", ".x-0123abcd.part", "other.part"}
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".2-0123abcd.part").symlink_to(tmp_path / "other.part")
    (tmp_path / ".3-0123abcd.part").mkdir()
    assert len(list(tmp_path.glob(f".{dead.pid}-*.part"))) == 1
    write(tmp_path / "new")
    assert list(tmp_path.glob(f".{dead.pid}-*.part")) == []
    [part] = tmp_path.glob(f".{living.pid}-*.part")
    killed(living)
    refuse_unwritable(tmp_path / "later")
    assert not part.exists()
    assert {each.name for each in tmp_path.iterdir()} == others | {"new", ".2-0123abcd.part", ".3-0123abcd.part"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_the_file_of_a_killed_writer_of_a_stream_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    killed(half_written(Path(os.devnull)))
    [part] = tmp_path.iterdir()
    assert stat.S_IMODE(part.stat().st_mode) == 0o600
    write(Path(os.devnull))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_removed_as_abandoned_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Path] = []

    def late(descriptor: int) -> bool:
        if not taken:
            [path] = tmp_path.iterdir()
            path.unlink()
            taken.append(path)
        return lock(descriptor)

    monkeypatch.setattr(atomic, "lock", late)
    with quick_write(tmp_path / "new") as temporary:
        assert temporary.exists()
        assert temporary not in taken
        temporary.write_text("new")
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_on_a_file_system_without_locks_files_are_written_and_none_is_removed_as_abandoned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(atomic, "lock", none)
    (tmp_path / ".1-0123abcd.part").touch()
    write(tmp_path / "new")
    assert sorted(each.name for each in tmp_path.iterdir()) == [".1-0123abcd.part", "new"]
