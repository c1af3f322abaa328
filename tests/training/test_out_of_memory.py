"""A step that needs more memory than a GPU has is made in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch.testing import assert_close

from faster_rcnn.errors import MachineError, OptionError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.training import TrainingConfig
from faster_rcnn.training.out_of_memory import refuse_parts_of_norms
from made_data import make_squares, settings_file, train_with
from several import in_processes
from several_runs import trained_with_little_memory
from tiny import tiny_model


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("memory") / "squares", {"train": 8})


@pytest.fixture
def little_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A device that holds at most the first number of images; the numbers that were tried follow."""
    numbers, forward = [1], FasterRCNN.forward

    def limited(model: FasterRCNN, batch: Any) -> Any:
        numbers.append(len(batch.images))
        if torch.is_grad_enabled() and len(batch.images) > numbers[0]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(model, batch)

    monkeypatch.setattr(FasterRCNN, "forward", limited)
    return numbers


def test_fewer_images_are_held_until_they_fit(
    squares: Path, tmp_path: Path, little_memory: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    config = settings_file(tmp_path, epochs=2)
    folder = train_with(squares, config=config, out=tmp_path / "run")
    assert little_memory[1:4] == [4, 2, 2]  # a whole step, then half of one: first for its counts, then for its losses
    summary = yaml.safe_load((folder / "summary.json").read_text())
    assert summary["changes"] == [
        "from step 1 on: at most 2 images are held at once, instead of 4",
        "from step 1 on: at most 1 images are held at once, instead of 2",
    ]
    assert "out of memory: from step 1 on" in caplog.text
    little_memory[0] = 4
    whole = train_with(squares, config=config, out=tmp_path / "whole")
    one, other = (load_file(each / "last.safetensors") for each in (folder, whole))
    assert_close(one, other, rtol=0, atol=1e-4)


def test_a_single_image_that_does_not_fit_ends_the_run(squares: Path, tmp_path: Path, little_memory: list[int]) -> None:
    little_memory[0] = 0
    with pytest.raises(MachineError, match=r"out of memory with 1 images at once; .* a smaller --image-size"):
        train_with(squares, config=settings_file(tmp_path, epochs=1), out=tmp_path / "run")


@pytest.mark.xdist_group("several processes")
def test_several_processes_name_the_setting(squares: Path, tmp_path: Path) -> None:
    options = {"config": settings_file(tmp_path, epochs=1), "out": tmp_path / "run"}
    for found in in_processes(2, trained_with_little_memory, squares, options):
        assert isinstance(found, MachineError)
        assert "--set training.micro_batch=1" in str(found)


def test_trained_batch_norm_is_not_divided() -> None:
    refuse_parts_of_norms(tiny_model(), TrainingConfig(micro_batch=2))
    normed = tiny_model(backbone={"pyramid_norm": True})
    refuse_parts_of_norms(normed, TrainingConfig())
    with pytest.raises(OptionError, match=r"training\.micro_batch=2: this detector trains its batch norm"):
        refuse_parts_of_norms(normed, TrainingConfig(micro_batch=2))
