"""Threads: as many as the processors that the process may use, and no more than torch has."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch

from control_groups import container, write_files
from faster_rcnn.system import quota
from faster_rcnn.system.threads import (
    THREAD_VARIABLES,
    Processors,
    default_threads,
    found_processors,
    physical_cores,
    processors,
    use_default_threads,
)

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "OMP_NUM_THREADS": "1"}


class Machine:
    """An invented machine: its processors, the processes' affinity, its quota, and the cores behind the processors."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self._root, self._patch = root, patch

    def has(
        self, count: int, *, affinity: Sequence[int] | None = None, cpu_max: str = "max 100000", per_core: int = 1
    ) -> None:
        """Processor n and the one half the machine further on share a core where ``per_core`` is 2."""
        container(self._root, cpu_max)
        cores = count // per_core
        names = {number: ",".join(map(str, range(number % cores, count, cores))) for number in range(count)}
        top = "sys/devices/system/cpu"
        write_files(self._root, {f"{top}/cpu{n}/topology/thread_siblings_list": f"{s}\n" for n, s in names.items()})
        allowed = set(range(count) if affinity is None else affinity)
        self._patch.setattr(os, "cpu_count", lambda: count)
        self._patch.setattr(os, "sched_getaffinity", lambda _: allowed, raising=False)

    def torch_has(self, count: int) -> None:
        self._patch.setattr(torch, "get_num_threads", lambda: count)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """No variable of threads is set."""
    for name in (*THREAD_VARIABLES, "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(quota, "ROOT", tmp_path)
    return Machine(tmp_path, monkeypatch)


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("limits", "usable", "text"),
    [
        ((8, 8, None), 8, "8 processors"),
        ((8, None, None), 8, "8 processors"),
        ((8, 3, None), 3, "3 of 8 processors: affinity 3"),
        ((8, 8, 1.5), 2, "2 of 8 processors: CPU quota 1.5"),
        ((8, 4, 0.25), 1, "1 of 8 processors: affinity 4, CPU quota 0.25"),
        ((8, 8, 2.0), 2, "2 of 8 processors: CPU quota 2"),
        ((8, 8, 64.0), 8, "8 processors"),
        ((1, 1, 0.5), 1, "1 processor"),
    ],
)
def test_the_smallest_limit_holds(limits: tuple[int, int | None, float | None], usable: int, text: str) -> None:
    found = Processors(*limits)
    assert (found.usable, str(found)) == (usable, text)


def test_limits_of_a_process(machine: Machine, tmp_path: Path) -> None:
    machine.has(8, affinity=(2, 3, 6), cpu_max="150000 100000")
    assert found_processors() == Processors(8, 3, 1.5)
    assert processors() == 2
    assert processors(tmp_path / "missing") == 3


def test_a_system_without_affinity(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has(8, per_core=2)
    monkeypatch.delattr(os, "sched_getaffinity")
    assert found_processors() == Processors(8, None, None)
    assert physical_cores() == 4
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert (processors(), physical_cores()) == (1, 1)


def test_two_processors_of_a_core_count_once(machine: Machine, tmp_path: Path) -> None:
    machine.has(8, per_core=2)
    assert physical_cores() == 4
    machine.has(8, affinity=(0, 1, 4), per_core=2)  # 0 and 4 share a core
    assert physical_cores() == 2
    assert physical_cores(tmp_path / "missing") == 3  # each counts as a core
    (tmp_path / "sys/devices/system/cpu/cpu0/topology/thread_siblings_list").write_bytes(b"\xff")
    (tmp_path / "sys/devices/system/cpu/cpu4/topology/thread_siblings_list").write_bytes(b"\n")
    assert physical_cores() == 3


def test_one_process_has_the_threads_of_torch_within_its_limits(machine: Machine) -> None:
    machine.has(8)
    machine.torch_has(8)
    assert default_threads() == 8
    machine.has(8, cpu_max="250000 100000")
    assert default_threads() == 3
    machine.torch_has(2)  # set by the program
    assert default_threads() == 2
    machine.has(8, per_core=2)
    machine.torch_has(8)  # a torch that counts processors keeps its number
    assert default_threads() == 8


def test_processes_share_the_cores(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has(16, per_core=2)
    machine.torch_has(8)
    assert [default_threads(count) for count in (1, 2, 3, 8, 9)] == [8, 4, 2, 1, 1]
    machine.has(16, cpu_max="500000 100000")
    assert [default_threads(count) for count in (1, 2)] == [5, 2]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    machine.has(16)
    assert (default_threads(), default_threads(2)) == (4, 8)
    machine.torch_has(4)  # as the command has set it: a second call changes nothing
    assert default_threads() == 4


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in THREAD_VARIABLES for value in ("6", "6,2", "1")])
def test_the_users_number_holds(name: str, value: str, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has(8, cpu_max="100000 100000")
    machine.torch_has(6)
    monkeypatch.setenv(name, value)
    assert (default_threads(), default_threads(2)) == (6, 6)


@pytest.mark.parametrize("value", ["", "x", "0", "-2", "²", "9" * 5000])
def test_a_number_that_openmp_does_not_take_is_none(
    value: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(8, cpu_max="100000 100000")
    machine.torch_has(8)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", value)
    assert default_threads() == 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"LOCAL_WORLD_SIZE": "2"}, 4),
        ({"LOCAL_WORLD_SIZE": "3"}, 2),
        ({"LOCAL_WORLD_SIZE": "1"}, 1),  # then torchrun sets nothing, so that the 1 is the user's
        ({}, 1),
        ({"LOCAL_WORLD_SIZE": "2", "OMP_NUM_THREADS": "7"}, 1),
        ({"LOCAL_WORLD_SIZE": "2", "MKL_NUM_THREADS": "1"}, 1),
    ],
)
def test_the_1_of_torchrun_becomes_a_share(
    changes: dict[str, str], expected: int, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(16, per_core=2)
    machine.torch_has(1)
    for name, value in (TORCHRUN | changes).items():
        monkeypatch.setenv(name, value)
    assert default_threads() == expected


def test_without_torchrun_a_1_is_the_users(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has(8)
    machine.torch_has(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert default_threads(2) == 1


@pytest.mark.usefixtures("_two_threads")
def test_a_command_has_the_threads_of_its_container(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "faster_rcnn")
    machine.has(2)
    use_default_threads()
    assert (torch.get_num_threads(), caplog.messages) == (2, [])
    machine.has(2, cpu_max="50000 100000")
    use_default_threads()
    assert torch.get_num_threads() == 1
    assert caplog.messages == ["1 CPU thread in place of 2, on 1 of 2 processors: CPU quota 0.5"]


@pytest.mark.usefixtures("_two_threads")
def test_the_number_is_not_set_again(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.has(2)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: 1 / 0)
    use_default_threads()
