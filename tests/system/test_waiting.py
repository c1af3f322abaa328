"""Threads wait without computing: the variable is set before torch is loaded, unless the user has decided."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faster_rcnn.system.waiting import OF_USER, WAITING, set_waiting

SOURCE = str(Path(__file__).parents[2] / "src")
NAME, VALUE = WAITING
COMMAND = "import sys; sys.argv = ['faster-rcnn', '--version']; from faster_rcnn.__main__ import main; main()"
SHOW = f"import os; print({{name: os.environ[name] for name in sorted(os.environ) if name in {OF_USER!r}}})"


def finished(program: str, **given: str) -> subprocess.CompletedProcess[str]:
    """A program in a new process, where of the variables of waiting only those are set that are given."""
    environment = {name: value for name, value in os.environ.items() if name not in OF_USER}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "PYTHONPATH": SOURCE, **given},
        capture_output=True,
        text=True,
        check=True,
    )


def variables_after(program: str, **given: str) -> str:
    """The variables of waiting that are set after a program."""
    return finished(f"{program}\n{SHOW}", **given).stdout.splitlines()[-1]


@pytest.mark.parametrize("program", ["import faster_rcnn", COMMAND, "from faster_rcnn.system.wording import count_of"])
def test_every_door_sets_it(program: str) -> None:
    assert variables_after(program) == str({NAME: VALUE})


def test_openmp_reads_it_when_torch_is_loaded_after_the_package() -> None:
    def number_of_checks(program: str) -> str | None:
        found = re.search("GOMP_SPINCOUNT = '(.+)'", finished(program, OMP_DISPLAY_ENV="VERBOSE").stderr)
        return None if found is None else found[1]

    own = number_of_checks("import torch, faster_rcnn")
    if own is None:
        pytest.skip("torch's OpenMP is not that of GCC, which shows its settings")
    assert number_of_checks("import faster_rcnn, torch") != own


def test_processes_that_are_started_inherit_it() -> None:
    program = f"import faster_rcnn, subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}], check=True)"
    assert finished(program).stdout == f"{ {NAME: VALUE} }\n"


@pytest.fixture
def _without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before torch is loaded and without any variable of waiting."""
    monkeypatch.delitem(sys.modules, "torch")
    for each in OF_USER:
        monkeypatch.setenv(each, "")


@pytest.mark.usefixtures("_without_torch")
def test_an_empty_variable_is_not_set_by_the_user() -> None:
    assert set_waiting()
    assert {name: os.environ[name] for name in OF_USER if os.environ[name]} == {NAME: VALUE}


@pytest.mark.usefixtures("_without_torch")
@pytest.mark.parametrize("name", OF_USER)
def test_the_users_setting_is_respected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "ACTIVE")
    assert not set_waiting()
    assert {each: os.environ[each] for each in OF_USER if os.environ[each]} == {name: "ACTIVE"}
    assert variables_after("import faster_rcnn", **{name: "ACTIVE"}) == str({name: "ACTIVE"})


@pytest.mark.usefixtures("_without_torch")
def test_nothing_is_set_once_torch_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", object())
    assert not set_waiting()
    assert not any(os.environ[name] for name in OF_USER)
    (tmp_path / "torch.py").touch()  # stands for torch
    paths = os.pathsep.join([str(tmp_path), SOURCE])
    assert variables_after("import torch, faster_rcnn", PYTHONPATH=paths) == "{}"
    assert variables_after("import faster_rcnn, torch", PYTHONPATH=paths) == str({NAME: VALUE})


def test_the_variable_is_one_of_those_that_are_respected() -> None:
    assert NAME in OF_USER
