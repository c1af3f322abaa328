"""A user may mean a model file by its own name or by that of its run folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.weights.finding import find_model_file
from faster_rcnn.weights.foreign.state_dict import read_checkpoint
from faster_rcnn.weights.resolve import resolve_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    file.touch()
    return file


def test_find_file_and_run_folder(path: Path, tmp_path: Path) -> None:
    assert find_model_file(str(path)) == path
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ModelFileError, match=r"E123 .*run holds neither best\.safetensors nor last\.safetensors"):
        find_model_file(str(run))
    (run / "last.safetensors").touch()
    assert find_model_file(str(run)).name == "last.safetensors"
    (run / "best.safetensors").touch()
    assert find_model_file(str(run)).name == "best.safetensors"


def test_find_tells_of_similar_names(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"there is no model file .*; did you mean '.*model\.safetensors'"):
        find_model_file(str(path.with_name("modle.safetensors")))
    with pytest.raises(ModelFileError, match=r"the folder .*nowhere does not exist either"):
        find_model_file(str(path.parent / "nowhere" / "model.safetensors"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_left_to_its_reader_which_names_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert find_model_file(str(tmp_path / "pipe")) == tmp_path / "pipe"


@pytest.mark.parametrize("name", ["x" * 300, f"{'x' * 300}/best.safetensors"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    for find in (find_model_file, resolve_model):
        with pytest.raises(ModelFileError, match=r"^E123 there is no model file or run folder 'xxx"):
            find(name)
    with pytest.raises(ModelFileError, match=r"^E123 there is no file xxx.* to import"):
        read_checkpoint(Path(name))
