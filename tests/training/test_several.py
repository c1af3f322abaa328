"""Several processes train one detector together, as one process would."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from torch.testing import assert_close

from faster_rcnn.errors import DatasetError, ElsewhereError, LostProcessError, OptionError
from faster_rcnn.system.signals import Signalled
from faster_rcnn.training import run_folder
from made_data import make_squares, settings_file
from several import in_processes
from several_runs import (
    failing_callback,
    killed,
    restarted,
    trained,
    trained_on_its_own,
    trained_with_other_batch,
    with_damage,
)

pytestmark = pytest.mark.xdist_group("several processes")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps of 4, 4, 4, 4 and 1 image: some processes have no image in the last one."""
    return make_squares(tmp_path_factory.mktemp("several") / "squares", {"train": 17, "val": 5})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings_file(tmp_path_factory.mktemp("settings"), epochs=4, threads=1)


@pytest.fixture(scope="module")
def alone(squares: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    [found] = in_processes(1, trained, squares, {"config": config, "out": tmp_path_factory.mktemp("alone") / "run"})
    return dict(found)


@pytest.fixture(scope="module")
def two(squares: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(2, trained, squares, {"config": config, "out": tmp_path_factory.mktemp("two") / "run"})


@pytest.fixture(scope="module")
def three(squares: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return in_processes(3, trained, squares, {"config": config, "out": tmp_path_factory.mktemp("three") / "run"})


def assert_as_alone(found: dict[str, Any], alone: dict[str, Any]) -> None:
    """The first step to 1e-5, and the means of 20 steps to 1 %."""
    assert found["images"] == alone["images"]
    assert len(alone["losses"]) == 20
    assert found["losses"][0] == pytest.approx(alone["losses"][0], rel=1e-5)
    assert means(found["losses"]) == pytest.approx(means(alone["losses"]), rel=0.01)


def means(losses: list[float]) -> list[float]:
    """The mean loss of every five steps, as an epoch has them.

    A last bit that differs in one step changes which regions are sampled some steps later, and by that the loss of a
    single image by up to 1 %, in either direction.
    """
    return [fmean(losses[start : start + 5]) for start in range(0, len(losses), 5)]


def test_two_processes_train_as_one(alone: dict[str, Any], two: list[dict[str, Any]]) -> None:
    assert_as_alone(two[0], alone)
    rows = zip(two[0]["rows"], alone["rows"], strict=True)
    for one, other in rows:
        assert one.keys() == other.keys()
        assert one["val_rpn_objectness"] == pytest.approx(other["val_rpn_objectness"], rel=1e-2)


def test_three_processes_train_as_one(alone: dict[str, Any], three: list[dict[str, Any]]) -> None:
    assert_as_alone(three[0], alone)


def test_micro_batches_train_as_the_whole_batch(
    alone: dict[str, Any], squares: Path, config: Path, tmp_path: Path
) -> None:
    options = {"config": config, "out": tmp_path / "run", "settings": ["training.micro_batch=1"]}
    assert_as_alone(in_processes(1, trained, squares, options)[0], alone)


def test_the_first_process_alone_logs_and_calls_back(two: list[dict[str, Any]]) -> None:
    first, second = two
    assert (second["losses"], second["log"]) == ([], [])
    assert any("in each of 2 processes" in line for line in first["log"])
    assert first["folder"] == second["folder"]


def test_the_run_folder_is_that_of_one_process(alone: dict[str, Any], two: list[dict[str, Any]]) -> None:
    names = [sorted(path.name for path in each["folder"].iterdir()) for each in (alone, two[0])]
    assert names[0] == names[1]
    settings = yaml.safe_load((two[0]["folder"] / "config.yaml").read_text())
    assert settings["training"]["processes"] == 2
    assert yaml.safe_load((alone["folder"] / "config.yaml").read_text())["training"]["processes"] == 1


@pytest.mark.parametrize(("processes", "stop"), [(2, 3), (2, 7), (3, 12)])
def test_an_interrupted_run_ends_as_if_nothing_had_happened(
    processes: int, stop: int, squares: Path, config: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole = request.getfixturevalue({2: "two", 3: "three"}[processes])[0]["folder"]
    broken = {"config": config, "out": tmp_path / "broken"}
    # The first process alone gets the signal, and all end after the same step.
    found = in_processes(processes, trained, squares, broken, stop)
    assert [(type(each).__name__, each.signal) for each in found] == [("Interrupted", signal.SIGTERM)] * processes
    state = run_folder.read_state(tmp_path / "broken")
    assert state is not None
    assert state["progress"].step == stop
    in_processes(processes, trained, squares, {"out": tmp_path / "broken", "resume": True})
    for name in ("last", "best"):
        model = f"{name}.safetensors"
        assert (whole / model).read_bytes() == (tmp_path / "broken" / model).read_bytes()


def test_a_run_that_was_killed_before_its_first_state_begins_again(
    two: list[dict[str, Any]], squares: Path, config: Path, tmp_path: Path
) -> None:
    options = {"config": config, "out": tmp_path / "run"}
    in_processes(2, killed, squares, options, 1, 2)
    (tmp_path / "run").mkdir()  # the process that was left removed it
    (tmp_path / "run/best.safetensors").write_text("as if it was killed between the first model and the first state")
    [found, _] = in_processes(2, restarted, squares, options)
    assert found["losses"] == two[0]["losses"]


def test_restarts_need_a_folder_by_which_the_run_is_found(squares: Path, config: Path) -> None:
    first, second = in_processes(2, restarted, squares, {"config": config})
    assert "give the run folder with --out" in str(first)
    assert isinstance(first, OptionError)
    assert isinstance(second, OptionError | LostProcessError)


@pytest.mark.parametrize("rank", [0, 1])
def test_after_one_process_was_killed_the_run_goes_on_as_if_nothing_had_happened(
    rank: int, two: list[dict[str, Any]], squares: Path, config: Path, tmp_path: Path
) -> None:
    options = {"config": config, "out": tmp_path / "run"}
    found = in_processes(2, killed, squares, options, rank, 8)
    assert found[rank] is None
    assert isinstance(found[1 - rank], LostProcessError)
    found = in_processes(2, restarted, squares, options)
    assert "going on" in " ".join(found[0]["log"])
    last = "last.safetensors"
    assert (tmp_path / "run" / last).read_bytes() == (two[0]["folder"] / last).read_bytes()


def test_a_run_goes_on_with_another_number_of_processes_and_says_so(
    alone: dict[str, Any], squares: Path, config: Path, tmp_path: Path
) -> None:
    options = {"config": config, "out": tmp_path / "run"}
    found = in_processes(2, trained, squares, options, 7)
    assert isinstance(found[0], Signalled)
    [found] = in_processes(1, trained, squares, {"out": tmp_path / "run", "resume": True})
    assert any("going on with processes 2 -> 1: the run notes it" in line for line in found["log"])
    assert means(found["losses"]) == pytest.approx(means(alone["losses"][7:]), rel=0.01)  # no image is left out
    one, other = (load_file(folder / "last.safetensors") for folder in (tmp_path / "run", alone["folder"]))
    assert_close(one, other, rtol=0, atol=1e-3)


def test_processes_with_other_settings_or_data_are_refused(squares: Path, config: Path, tmp_path: Path) -> None:
    options = {"config": config, "out": tmp_path / "run"}
    first, second = in_processes(2, trained_with_other_batch, squares, options)
    assert (first.exit_code, "the options" in str(first)) == (OptionError.exit_code, True)
    assert isinstance(second, ElsewhereError)
    others = make_squares(tmp_path / "others", {"train": 17, "val": 5}, seed=1)
    first, second = in_processes(2, trained_on_its_own, [squares, others], options)
    assert (first.exit_code, "the data" in str(first)) == (OptionError.exit_code, True)
    assert isinstance(second, ElsewhereError)
    assert not (tmp_path / "run").exists()


def test_damage_in_any_process_is_logged_once_by_the_first(squares: Path, config: Path, tmp_path: Path) -> None:
    options = {"config": config, "out": tmp_path / "run"}
    found = in_processes(2, with_damage, squares, options, 1)
    lines = [line for line in found[0]["log"] if "train0.png is damaged" in line]
    assert len(lines) == 1
    assert sum(found[0]["images"]) == 4 * 16


def test_too_much_damage_over_all_processes_ends_them(squares: Path, config: Path, tmp_path: Path) -> None:
    first, second = in_processes(2, with_damage, squares, {"config": config, "out": tmp_path / "run"}, 2)
    assert isinstance(first, DatasetError)
    assert "2 of 17 images of train cannot be decoded" in str(first)
    assert isinstance(second, DatasetError)


def test_an_error_of_a_callback_saves_the_run_and_ends_all(squares: Path, config: Path, tmp_path: Path) -> None:
    first, second = in_processes(2, failing_callback, squares, {"config": config, "out": tmp_path / "run"})
    assert (type(first), str(first)) == (ValueError, "of the callback")
    assert isinstance(second, LostProcessError)
    state = run_folder.read_state(tmp_path / "run")
    assert state is not None
    assert state["progress"].step == 1


def test_alternating_training_takes_several_processes(squares: Path, tmp_path: Path) -> None:
    config = settings_file(tmp_path, epochs=1, threads=1, scheme="alternating")
    folders: list[Path] = []
    for processes in (1, 2):
        options = {"config": config, "out": tmp_path / str(processes)}
        folders += {each["folder"] for each in in_processes(processes, trained, squares, options)}
    one, other = (load_file(folder / "best.safetensors") for folder in folders)
    assert_close(one, other, rtol=0, atol=1e-3)


def test_the_metrics_have_a_row_for_each_epoch(two: list[dict[str, Any]]) -> None:
    rows = list(csv.DictReader((two[0]["folder"] / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["5", "10", "15", "20"]
