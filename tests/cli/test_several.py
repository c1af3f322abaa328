"""One command line in several processes: what each of them shows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faster_rcnn.cli import several
from faster_rcnn.cli.app import app
from faster_rcnn.cli.main import main
from faster_rcnn.cli.several import SHARED_COMMANDS, Place, digest_of
from faster_rcnn.errors import DatasetError, ElsewhereError, LostProcessError
from faster_rcnn.system.signals import Signalled
from files import image_file, model_file

OTHERS = [name for name in app if not name.startswith("-") and name not in SHARED_COMMANDS]


@contextmanager
def launched(monkeypatch: pytest.MonkeyPatch, rank: str, count: str = "2", local_rank: str = "0") -> Iterator[Place]:
    values = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": local_rank}
    monkeypatch.setattr(several, "SECONDS_OF_FIRST", 0.0)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    yield Place.of_environment()


def test_the_environment_gives_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Place.of_environment() == Place()
    with launched(monkeypatch, "3", "4", "1") as place:
        assert (place, place.is_first) == (Place(3, 4, 1), False)
    for rank, count in (("0", "1"), ("zero", "2"), ("0", "two")):
        with launched(monkeypatch, rank, count) as place:
            assert (place, place.is_first) == (Place(), True)
    monkeypatch.delenv("RANK")
    assert Place.of_environment() == Place()


def test_errors_are_shown_once() -> None:
    first, other = Place(0, 3), Place(1, 3)
    for error in (ElsewhereError("elsewhere"), LostProcessError("another process ended"), Signalled(2)):
        assert (first.line_of(error, "error: x"), other.line_of(error, "error: x")) == ("error: x", None)
    own = DatasetError("no labels")
    assert first.line_of(own, "error: no labels") == "error: no labels"
    assert other.line_of(own, "error: no labels") == "process 1 of 3: error: no labels"
    # A mistake of the command line is shown once by each machine.
    assert other.line_of(own, "error: x", of_command_line=True) == "process 1 of 3: error: x"
    assert Place(1, 3, 1).line_of(own, "error: x", of_command_line=True) is None


@pytest.mark.parametrize("command", OTHERS)
def test_commands_that_share_no_work_are_refused(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with launched(monkeypatch, "0"):
        assert main([command, "x"]) == 2
    line = "faster-rcnn: error: 2 processes were started, which would all do the same: they share the work of train, "
    assert capsys.readouterr().err == (
        f"{line}evaluate and predict alone; run it once, without torchrun: faster-rcnn {command}\n"
    )
    with launched(monkeypatch, "1"):
        assert main([command, "x"]) == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("line", ["--version", "--help", "explain --help", "demo -h"])
def test_the_first_process_alone_answers_questions(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with launched(monkeypatch, "1"):
        assert main(line.split()) == 0
    assert capsys.readouterr() == ("", "")
    with launched(monkeypatch, "0"):
        assert main(line.split()) == 0
    assert capsys.readouterr().out != ""


def test_a_mistake_of_the_command_line_has_one_line_a_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = []
    for rank, local_rank in ((0, 0), (1, 1), (2, 0), (3, 1)):
        with launched(monkeypatch, str(rank), "4", str(local_rank)):
            assert main(["predict", "--nonsense", "m", "photos"]) == 2
        shown.append(capsys.readouterr().err)
    line = "error: unknown option: --nonsense.\n"
    assert shown == [f"faster-rcnn: {line}", "", f"faster-rcnn: process 2 of 4: {line}", ""]


def test_other_processes_wait_before_they_end_with_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    for place, code in ((Place(), 2), (Place(0, 2), 2), (Place(1, 2), 0), (Place(1, 2), 2)):
        place.let_first_end(code)
    assert waited == [several.SECONDS_OF_FIRST]


def test_digests_differ_with_their_values() -> None:
    assert digest_of("a", 1) == digest_of("a", 1)
    assert len({digest_of("a", 1), digest_of("a", "1"), digest_of("a\udc80", 1), digest_of()}) == 4


@pytest.mark.xdist_group("several processes")
def test_torchrun_predicts_as_one_process(tmp_path: Path) -> None:
    model_file(tmp_path / "tiny.safetensors")
    for number in range(3):
        image_file(tmp_path / "photos" / f"{number}.png", seed=number)
    Path(tmp_path, "photos", "1.jpg").write_bytes(b"no image")
    found = {}
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, words in {"one": [], "two": launcher}.items():
        options = ["--conf", "0", "--precision", "float32", "--device", "cpu", "--json", f"{name}.jsonl"]
        command = [sys.executable, *words, "-m", "faster_rcnn", "predict", "tiny.safetensors", "photos", *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert done.stdout == ""
        assert done.stderr.count("; it is left out") == 1, done.stderr
        assert done.stderr.count("3 images, ") == 1, done.stderr
        assert (name, done.returncode) in (("one", 2), ("two", 1))  # torchrun's own code where a process has failed
        found[name] = (tmp_path / f"{name}.jsonl").read_bytes()
    assert found["two"] == found["one"]
    assert len([json.loads(line) for line in found["one"].splitlines()]) == 3
