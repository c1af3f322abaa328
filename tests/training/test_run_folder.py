from __future__ import annotations

import errno
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import MachineError, ModelFileError, OptionError
from faster_rcnn.training import run_folder


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_runs_are_named_after_their_data_and_numbered() -> None:
    for expected in ("runs/cells", "runs/cells-2", "runs/cells-3"):
        folder = run_folder.new_run_folder(None, Path("somewhere/cells"))
        assert folder == Path(expected)
        (folder / "state.pt").touch()


def test_a_run_is_never_overwritten() -> None:
    folder = run_folder.new_run_folder(Path("here"), Path("cells"))
    (folder / "state.pt").touch()
    with pytest.raises(OptionError, match="can go on with --resume; choose another folder with --out"):
        run_folder.new_run_folder(Path("here"), Path("cells"))
    run_folder.write_summary(folder, {})
    with pytest.raises(OptionError, match="is finished"):
        run_folder.new_run_folder(Path("here"), Path("cells"))
    with pytest.raises(OptionError, match="the run in here is finished"):
        run_folder.folder_to_resume(Path("here"), Path("cells"))


def test_resume_takes_the_newest_unfinished_run_of_the_data() -> None:
    assert run_folder.folder_to_resume(None, Path("cells")) == Path("runs/cells")  # nothing to go on with: starts over
    for name in ("cells", "cells-2", "other"):
        folder = Path("runs") / name
        folder.mkdir(exist_ok=True)
        run_folder.write_state(folder, {"step": 1})
    run_folder.write_summary(Path("runs/cells-2"), {})
    assert run_folder.folder_to_resume(None, Path("cells")) == Path("runs/cells")


def test_state_comes_back_and_a_broken_one_is_told(tmp_path: Path) -> None:
    assert run_folder.read_state(tmp_path) is None
    run_folder.write_state(tmp_path, {"model": {"w": torch.ones(2)}, "progress": {"epoch": 3}})
    state = run_folder.read_state(tmp_path)
    assert state is not None
    assert state["progress"] == {"epoch": 3}
    (tmp_path / "state.pt").write_bytes((tmp_path / "state.pt").read_bytes()[:100])
    with pytest.raises(ModelFileError, match=r"state\.pt cannot be read .* --weights .*last\.safetensors"):
        run_folder.read_state(tmp_path)


def test_a_full_disk_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_folder.write_state(tmp_path, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MachineError, match="no space left") as raised:
        run_folder.write_state(tmp_path, {"step": 2})
    assert raised.value.exit_code == 5
    assert run_folder.read_state(tmp_path) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_metrics_without_a_value_are_empty(tmp_path: Path) -> None:
    run_folder.write_metrics(tmp_path, [{"epoch": 1, "AP": None}, {"epoch": 2, "AP": 0.5}])
    assert (tmp_path / "metrics.csv").read_text() == "epoch,AP\n1,\n2,0.5\n"
