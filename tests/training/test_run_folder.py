from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.errors import MachineError, ModelFileError, OptionError
from faster_rcnn.settings.schema import Config
from faster_rcnn.training import run_folder
from faster_rcnn.training.state import Progress


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_runs_are_named_after_their_data_and_numbered() -> None:
    for expected in ("runs/cells", "runs/cells-2", "runs/cells-3"):
        folder = run_folder.new_run_folder(None, Path("somewhere/cells"))
        assert folder == Path(expected)
        assert not folder.exists()
        folder.mkdir(parents=True)
        (folder / "state.pt").touch()


def test_a_run_is_never_overwritten() -> None:
    folder = Path("here")
    folder.mkdir()
    (folder / "metrics.csv").touch()
    with pytest.raises(OptionError, match=r"the beginning of a run that was killed before its first state was saved; "):
        run_folder.new_run_folder(folder, Path("cells"))
    (folder / "state.pt").touch()
    (folder / "config.yaml").touch()
    with pytest.raises(OptionError, match="can go on with --resume; choose another folder with --out, or delete this"):
        run_folder.new_run_folder(folder, Path("cells"))
    run_folder.write_summary(folder, {})
    with pytest.raises(OptionError, match="is finished"):
        run_folder.new_run_folder(folder, Path("cells"))


def test_a_begun_step_of_alternating_training_is_a_run() -> None:
    (Path("here") / "step-1").mkdir(parents=True)
    (Path("here") / "step-1" / "state.pt").touch()
    (Path("here") / "config.yaml").touch()
    with pytest.raises(OptionError, match="can go on with --resume"):
        run_folder.new_run_folder(Path("here"), Path("cells"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_folder_in_which_another_process_begins_a_run_is_not_chosen() -> None:
    with run_folder.kept_if_used(Path("runs/cells")):
        assert run_folder.new_run_folder(None, Path("cells")) == Path("runs/cells-2")
        with pytest.raises(OptionError, match=r"E132 .* is being written to by process"):
            run_folder.kept_if_used(Path("runs/cells")).__enter__()
    assert not Path("runs").exists()


def test_a_run_that_another_process_finished_meanwhile_is_kept() -> None:
    folder = run_folder.new_run_folder(Path("here"), Path("cells"))
    run_folder.write_summary(folder, {})
    with pytest.raises(OptionError, match="E132 here holds a run already, which is finished"):
        run_folder.kept_if_used(folder).__enter__()
    assert [each.name for each in folder.iterdir()] == ["summary.json"]


def test_only_runs_of_exactly_that_name_are_found_the_newest_first() -> None:
    for age, name in enumerate(("cells-2", "cells", "cells-big", "cells-2b", "cells-10", "ce", "red cells")):
        state = Path("runs") / name / "state.pt"
        state.parent.mkdir(parents=True)
        state.touch()
        os.utime(state, (1000 - age, 1000 - age))
    Path("runs/cells-3").mkdir()
    assert run_folder.runs_named("cells") == [Path("runs/cells-2"), Path("runs/cells"), Path("runs/cells-10")]
    assert run_folder.runs_named("c.lls") == []


def failing_start(out: Path, state: dict[str, int] | None) -> None:
    with run_folder.kept_if_used(out):
        run_folder.write_config(out, Config())
        if state is not None:
            run_folder.write_state(out, state)
        raise ZeroDivisionError


def test_a_folder_stays_where_a_run_began_in_it() -> None:
    with pytest.raises(ZeroDivisionError):
        failing_start(Path("new/run"), {"step": 1})
    assert sorted(path.name for path in Path("new/run").iterdir()) == ["config.yaml", "state.pt"]
    with pytest.raises(ZeroDivisionError):
        failing_start(Path("other/run"), None)
    assert not Path("other").exists()


def test_a_damaged_record_of_the_data_is_an_error() -> None:
    assert run_folder.read_data(Path()) is None
    for text in (
        "{",
        "[]",
        '{"version": 99}',
        '{"version": 1, "classes": 3}',
        "[" * 100_000,
        "1" * 5_000,
        "\0",
        "\xff",
    ):
        Path("data.json").write_bytes(text.encode("latin1"))
        with pytest.raises(ModelFileError, match=r"data\.json cannot be read .* --weights last\.safetensors"):
            run_folder.read_data(Path())


def state_of(epoch: int) -> dict[str, Any]:
    progress = Progress(epoch=epoch, best_epoch=0, images=epoch, rows=[{"epoch": 1, "step": 1, "lr": 0.1}] * epoch)
    parts: dict[str, Any] = {"model": {"w": torch.ones(2)}, "average": None, "optimizer": {}}
    return {**parts, "random": torch.get_rng_state(), "progress": progress.to_plain()}


def test_a_state_is_read_back_and_a_broken_one_is_an_error(tmp_path: Path) -> None:
    assert run_folder.read_state(tmp_path) is None
    run_folder.write_state(tmp_path, state_of(3))
    state = run_folder.read_state(tmp_path)
    assert state is not None
    assert state["progress"].epoch == 3
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:100])
    with pytest.raises(ModelFileError, match=r"state\.pt is incomplete or damaged .* --weights .*last\.safetensors"):
        run_folder.read_state(tmp_path)


def test_a_full_disk_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder.write_state(tmp_path, state_of(1))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MachineError, match="no space left") as raised:
        run_folder.write_state(tmp_path, state_of(2))
    assert raised.value.exit_code == 5
    state = run_folder.read_state(tmp_path)
    assert state is not None
    assert state["progress"].epoch == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_metrics_without_a_value_are_empty(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, [{"epoch": 1, "AP": None}, {"epoch": 2, "AP": 0.5}])
    assert (tmp_path / "metrics.csv").read_text() == "epoch,AP\n1,\n2,0.5\n"


def test_rows_with_other_columns_lose_no_value(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, [{"epoch": 1, "lr": 0.5}, {"epoch": 2, "AP": 0.25, "lr": 0.5}])
    assert (tmp_path / "metrics.csv").read_text() == "epoch,lr,AP\n1,0.5,\n2,0.5,0.25\n"
