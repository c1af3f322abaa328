from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import ModelFileError
from faster_rcnn.system.distributed import Processes
from faster_rcnn.training.run_folder import read_state
from faster_rcnn.training.running import restore_state, save_last, save_state
from made_data import make_squares
from made_runs import prepared


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 6})


def test_the_state_holds_plain_values_only(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run")
    save_last(run)
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    json.dumps(state["progress"])
    assert sorted(state) == ["average", "model", "optimizer", "progress", "random", "run"]
    assert (run.saved_step, (tmp_path / "run/last.safetensors").exists()) == (0, True)


def test_the_first_of_several_processes_alone_writes(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run")
    run.processes = Processes(rank=1, count=2)
    save_last(run)
    save_state(run)
    assert list((tmp_path / "run").iterdir()) == []
    assert run.saved_step is None


def test_a_run_goes_on_with_its_own_state_alone(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run", ema_decay=0.9)
    run.progress.step = run.progress.steps_of_epoch = 1
    with torch.no_grad():
        run.model.roi.classes.bias.fill_(3.0)
    save_state(run)
    state = read_state(tmp_path / "run")
    assert state is not None
    other = prepared(squares, tmp_path / "run", ema_decay=0.9)
    restore_state(other, state)
    assert (other.progress.step, other.saved_step) == (1, 1)
    assert torch.equal(other.model.roi.classes.bias, run.model.roi.classes.bias)
    assert other.product is not other.model
    with pytest.raises(ModelFileError, match=r"state\.pt does not fit the run: its average|it lacks the average"):
        restore_state(other, {**state, "average": None})


def test_epochs_and_steps_are_those_of_the_settings(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run", epochs=3)
    assert (run.epochs, run.steps) == (3, 6)  # 6 images in steps of 4
