"""Precision and threads of a run: recorded when it begins, kept when it goes on, and another one is noted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from control_groups import container
from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.settings.schema import Config
from faster_rcnn.system import quota
from faster_rcnn.system.devices import choose_precision, precision_name, using_threads
from faster_rcnn.training import loop, machine_settings, run_folder
from faster_rcnn.training.machine_settings import (
    machine_changes,
    refuse_idle_processes,
    with_machine_settings,
    with_training,
)
from faster_rcnn.training.step import training_step
from faster_rcnn.weights.model_file import load_model
from made_data import make_squares, settings_file, train_with

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 6, "val": 2})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings_file(tmp_path_factory.mktemp("settings"), epochs=1)


@pytest.fixture(scope="module")
def in_bfloat16(squares: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two threads, one epoch."""
    out = tmp_path_factory.mktemp("run") / "run"
    return train_with(squares, config=config, out=out, precision="bfloat16", threads=2)


@pytest.fixture
def run(in_bfloat16: Path, tmp_path: Path) -> Path:
    shutil.copytree(in_bfloat16, tmp_path / "run")
    return tmp_path / "run"


def watched(used: list[tuple[torch.dtype, int]]) -> Callable[..., Any]:
    """A training step that notes its precision and its number of threads."""

    def step(*arguments: Any, **options: Any) -> Any:
        used.append((options["precision"], torch.get_num_threads()))
        return training_step(*arguments, **options)

    return step


def recorded(run: Path) -> tuple[Any, Any]:
    """In the settings of a run, of its models, and in its summary."""
    stored = yaml.safe_load((run / "config.yaml").read_text())["training"]
    summary = json.loads((run / "summary.json").read_text())
    model = load_model(run / run_folder.LAST).config.training
    found = {(each["precision"], each["threads"]) for each in (stored, summary)} | {(model.precision, model.threads)}
    [both] = found
    return both


def test_auto_is_what_it_is_on_this_machine() -> None:
    settings = with_machine_settings(Config()).training
    assert (settings.precision, settings.threads) == (precision_name(choose_precision("auto", CPU)), 1)
    given = with_training(Config(), precision="bfloat16", threads=7)
    assert with_machine_settings(given) == given


def test_a_run_in_a_container_with_one_cpu_has_one_thread(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[torch.dtype, int]] = []
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(loop, "training_step", watched(used))
    with using_threads(2):
        monkeypatch.setattr(quota, "ROOT", container(tmp_path / "wide", "max 100000"))
        assert with_machine_settings(Config()).training.threads == min(2, os.cpu_count() or 1)
        monkeypatch.setattr(quota, "ROOT", container(tmp_path / "narrow", "100000 100000"))
        run = train_with(squares, config=config, out=tmp_path / "run")
        assert torch.get_num_threads() == 2
    assert {threads for _, threads in used} == {1}
    assert recorded(run) == ("float32", 1)


def test_a_run_records_precision_and_threads_and_gives_the_threads_back(
    squares: Path, config: Path, tmp_path: Path
) -> None:
    run = train_with(squares, config=config, out=tmp_path / "run", precision="auto", threads=2)
    assert recorded(run) == (precision_name(choose_precision("auto", CPU)), 2)
    assert torch.get_num_threads() == 1  # of the tests
    assert json.loads((run / "summary.json").read_text())["changes"] == []
    assert "2 CPU threads" in (run / "report.html").read_text()


def test_a_resumed_run_keeps_precision_and_threads(squares: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[torch.dtype, int]] = []
    monkeypatch.setattr(loop, "training_step", watched(used))
    monkeypatch.setattr(machine_settings, "supports_precision", lambda precision, device: True)
    monkeypatch.setattr(machine_settings, "choose_precision", lambda name, device: getattr(torch, name))
    train_with(squares, out=run, resume=True, epochs=2)
    assert set(used) == {(torch.bfloat16, 2)}
    train_with(squares, out=run, resume=True, epochs=3, precision="auto")
    assert set(used) == {(torch.bfloat16, 2)}
    assert json.loads((run / "summary.json").read_text())["changes"] == []


def test_a_run_stops_on_a_machine_without_its_precision_and_notes_another_one(
    squares: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine_settings, "supports_precision", lambda precision, device: precision != torch.bfloat16)
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(MachineError, match=r"began in bfloat16, in which cpu .* --precision float32$") as raised:
        train_with(squares, out=run, resume=True, epochs=2)
    assert raised.value.exit_code == 5
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    train_with(squares, out=run, resume=True, epochs=2, precision="float32", threads=1)
    changes = ["from step 3 on: precision bfloat16 -> float32", "from step 3 on: threads 2 -> 1"]
    assert json.loads((run / "summary.json").read_text())["changes"] == changes
    assert recorded(run) == ("float32", 1)
    assert changes[0].replace(">", "&gt;") in (run / "report.html").read_text()
    assert "going on with precision bfloat16 -> float32, threads 2 -> 1" in capsys.readouterr().err
    train_with(squares, out=run, resume=True, epochs=3)  # as it now is
    assert json.loads((run / "summary.json").read_text())["changes"] == changes


def test_a_change_outlives_a_kill_right_after_it(squares: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_settings, "supports_precision", lambda precision, device: True)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "training_step", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_with(squares, out=run, resume=True, epochs=2, threads=1)
    train_with(squares, out=run, resume=True)
    assert json.loads((run / "summary.json").read_text())["changes"] == ["from step 3 on: threads 2 -> 1"]


def test_a_precision_given_by_name_is_used_in_any_case(
    squares: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine_settings, "supports_precision", lambda precision, device: False)
    train_with(squares, out=run, resume=True, epochs=2, precision="bfloat16")
    assert recorded(run) == ("bfloat16", 2)


def test_a_run_of_an_earlier_version_gets_a_record(
    squares: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = yaml.safe_load((run / "config.yaml").read_text())
    del settings["training"]["threads"]
    settings["training"]["precision"] = "auto"
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    state = torch.load(run / "state.pt", weights_only=True)
    del state["progress"]["changes"]
    torch.save(state, run / "state.pt")
    train_with(squares, out=run, resume=True, epochs=2)
    here = precision_name(choose_precision("auto", CPU))
    assert f"does not say in which precision it began and on how many threads; it goes on in {here} on 1" in (
        capsys.readouterr().err
    )
    assert recorded(run) == (here, 1)


def test_alternating_training_computes_all_of_it_in_one_precision(squares: Path, config: Path, tmp_path: Path) -> None:
    settings = ["training.scheme=alternating", "training.threads=2"]
    run = train_with(squares, config=config, out=tmp_path / "run", settings=settings)
    assert recorded(run) == ("float32", 2)
    for name in ("summary.json", "step-4/summary.json", "step-4/best.safetensors"):
        (run / name).unlink()
    shutil.rmtree(run / "step-4")
    train_with(squares, out=run, resume=True, threads=1)
    assert json.loads((run / "summary.json").read_text())["changes"] == [
        *(f"step {number} of 4 in float32 on {2 if number < 4 else 1} threads" for number in (1, 2, 3, 4))
    ]


@pytest.mark.parametrize("threads", [0, -1, 2000])
def test_numbers_of_threads_that_make_no_sense_are_refused(squares: Path, tmp_path: Path, threads: int) -> None:
    with pytest.raises(OptionError, match=rf"E125 --threads {threads}: "):
        train_with(squares, out=tmp_path / "run", threads=threads)


def test_each_process_needs_an_image_of_a_step() -> None:
    settings = Config().training.model_copy(update={"batch": 4})
    for count in (1, 3, 4):
        refuse_idle_processes(settings, count)
    refuse_idle_processes(settings.model_copy(update={"batch": "auto"}), 5)  # the number is not found yet
    with pytest.raises(OptionError, match=r"^--processes 5: a step has 4 images, .*; give --batch 5 or fewer proc"):
        refuse_idle_processes(settings, 5)


def test_changes_by_hand() -> None:
    before = Config().training.model_copy(update={"precision": "bfloat16", "threads": 2})
    assert machine_changes(before, before) == ()
    assert machine_changes(Config().training, before) == ()  # of an earlier version: nothing is known
    now = before.model_copy(update={"threads": 3})
    assert machine_changes(before, now) == ("threads 2 -> 3",)
