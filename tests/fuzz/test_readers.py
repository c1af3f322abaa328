"""No file makes a reader fail with anything but an error that names it, hang, or fill the memory.

A failure prints the number of the mutation; ``PYTHONPATH=src:tests python -m fuzz READER NUMBER 1`` makes it again.
"""

from __future__ import annotations

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from faster_rcnn.errors import DatasetError, FasterRCNNError, MachineError
from fuzz import mutations, watching
from fuzz.readers import READERS, Door, Target
from fuzz.watching import Outcome, outcomes

TESTS = Path(__file__).parents[1]


def faults(found: Sequence[Outcome]) -> list[tuple[int, str, str]]:
    return [(one.number, one.file, one.fault) for one in found if one.fault is not None]


@pytest.mark.parametrize("name", READERS)
def test_no_file_is_too_much_for_a_reader(name: str, tmp_path: Path) -> None:
    found = list(outcomes(name, tmp_path / name, 0, 100))
    assert faults(found) == []
    assert any(one.refusal is not None for one in found) or name == "set"  # whose refusals are expected


@pytest.mark.soak
@pytest.mark.parametrize("name", READERS)
def test_no_file_of_many_is_too_much_for_a_reader(name: str) -> None:
    """2,000 files in a process of its own, whose memory is limited: up to three minutes each."""
    command = [sys.executable, "-m", "fuzz", name, "0", "2000"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    *found, total = [json.loads(line) for line in done.stdout.splitlines()]
    print(name, total)
    assert [(one["number"], one["file"], one["fault"]) for one in found] == []
    assert total["accepted"] + total["refused"] == 2000


def watched(read: Callable[[], object], folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float = 10) -> Outcome:
    """The outcome of a reader that reads valid files, and does ``read`` with a mutation of them."""
    calls = iter([lambda: None, read])

    def prepare(root: Path) -> Door:
        (root / "file").write_bytes(b"valid")
        return Door((Target(root / "file", mutations.mutated_bytes),), lambda: next(calls)())

    monkeypatch.setitem(READERS, "made", prepare)
    [one] = outcomes("made", folder / "made", 0, 1, seconds)
    return one


def raising(error: Exception) -> Callable[[], object]:
    def read() -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (raising(ValueError("bad")), "ValueError: bad at test_readers.py"),
        (raising(RecursionError()), "RecursionError"),
        (raising(MachineError("no space")), "exit code 5: no space"),
        (raising(FasterRCNNError("oh")), "exit code 1: oh"),
        (raising(DatasetError("other.txt is bad")), "a message that does not name the file: other.txt is bad"),
    ],
)
def test_each_kind_of_fault_is_found(
    read: Callable[[], object], fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = watched(read, tmp_path, monkeypatch).fault
    assert found is not None
    assert found.startswith(fault)


def test_much_memory_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MAX_MEGABYTES", 50.0)

    def fill() -> None:
        with mmap.mmap(-1, 100 * 2**20) as mapped:  # memory that the process had before and kept would not count
            mapped.write(b"x" * len(mapped))

    found = watched(fill, tmp_path, monkeypatch)
    if Path("/proc/self/clear_refs").exists():
        assert found.fault is not None
        assert 95 <= found.megabytes <= 250  # the text of the same length, too, where it is new


def test_a_loop_and_a_pipe_that_nobody_writes_to_are_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def computes() -> None:
        while True:
            pass

    os.mkfifo(tmp_path / "pipe")
    for number, read in enumerate((computes, (tmp_path / "pipe").read_bytes)):
        (tmp_path / str(number)).mkdir()
        found = watched(read, tmp_path / str(number), monkeypatch, seconds=0.05).fault
        assert found is not None
        assert found.startswith("Hang")


def test_an_accepted_or_refused_mutation_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = watched(raising(DatasetError("the file is bad", code="E102")), tmp_path, monkeypatch)
    assert (refused.refusal, refused.fault) == ("E102 the file is bad", None)
    (tmp_path / "other").mkdir()
    accepted = watched(lambda: None, tmp_path / "other", monkeypatch)
    assert (accepted.refusal, accepted.fault) == (None, None)


@pytest.mark.parametrize("name", ["coco", "voc", "yolo", "csv", "proposals", "pth", "png", "tiff"])  # of each mutation
def test_a_number_makes_the_same_file_again_and_mostly_another_than_the_valid_one(name: str, tmp_path: Path) -> None:
    door = READERS[name](tmp_path)
    for target in dict.fromkeys(door.targets):
        valid = (target.path.read_bytes(), *target.others)
        made = [target.mutate(Random(number), valid) for number in range(8)]
        assert made == [target.mutate(Random(number), valid) for number in range(8)]
        assert sum(content in valid for content in made) <= 3
