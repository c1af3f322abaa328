"""A written file takes its place only where it holds the same detector."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import ModelFileError, VerificationError
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights import verification
from faster_rcnn.weights.model_file import LoadedModel, load_model
from faster_rcnn.weights.verification import read_back, save_verified
from files import loaded_model


def test_an_equal_file_takes_its_place(tmp_path: Path) -> None:
    loaded = loaded_model()
    save_verified(tmp_path / "m.safetensors", loaded)
    assert load_model(tmp_path / "m.safetensors").classes == loaded.classes


def test_other_classes_take_no_files_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        verification, "load_model", lambda path: replace(load_model(path), classes=ClassMap(("x",), (1,)))
    )
    with pytest.raises(VerificationError, match=r"m\.safetensors differs from the detector in its settings or classes"):
        save_verified(tmp_path / "m.safetensors", loaded_model())
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_that_differs_and_an_unreadable_file_are_named() -> None:
    written = loaded_model()

    def changed() -> LoadedModel:
        other = loaded_model()
        torch.nn.init.zeros_(other.model.roi.classes.weight)
        return other

    def unreadable() -> LoadedModel:
        raise ModelFileError("it is cut off")

    with pytest.raises(VerificationError, match=r"written for out differs from the detector in tensor 'roi\.classes"):
        read_back(changed, written, Path("out"))
    with pytest.raises(VerificationError, match="written for out cannot be read back and is removed: it is cut off"):
        read_back(unreadable, written, Path("out"))
