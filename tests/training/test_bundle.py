"""A step that diverged can be repeated from its bundle alone."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from faster_rcnn.cli.main import main
from faster_rcnn.errors import DivergedError, MachineError, ModelFileError
from faster_rcnn.training import loop
from faster_rcnn.training.bundle import read_bundle
from faster_rcnn.training.first_bad import first_bad_tensor
from faster_rcnn.training.run_folder import DIVERGED
from made_data import settings_file, train_with


@pytest.fixture(scope="module")
def diverged(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a run that diverged by its learning rate, and the message."""
    folder = tmp_path_factory.mktemp("diverged")
    config = settings_file(folder, epochs=30, warmup_steps=0)
    with pytest.raises(DivergedError) as caught:
        train_with(squares, config=config, out=folder / "run", lr=1e9)
    return folder / "run", str(caught.value)


def test_the_message_names_the_bundle_and_the_tensor(diverged: tuple[Path, str]) -> None:
    run, message = diverged
    bad = read_bundle(run / DIVERGED).facts["first_bad_tensor"]
    assert f", and all that went into it is in {run / DIVERGED}" in message
    assert (f"; the first tensor that is not finite is {bad}. Try" in message) == (bad is not None)


def test_the_step_is_repeated_from_the_bundle(diverged: tuple[Path, str]) -> None:
    run, message = diverged
    bundle = read_bundle(run / DIVERGED)
    facts = bundle.facts
    assert f"at step {facts['step']} (images {', '.join(map(str, facts['image_ids']))}, learning rate" in message
    assert message.startswith(f"E128 {facts['fault']} at step ")
    assert (facts["precision"], facts["classes"]["names"]) == ("float32", ["dark", "light"])
    assert 1e8 < facts["lr"] <= 1e9 / 4  # for batches of 4
    assert all(Path(file).is_file() for file in facts["files"])
    assert len(bundle.batch.images) == len(facts["files"]) == len(facts["image_ids"])
    state = torch.load(run / "state.pt", weights_only=True)["model"]
    weights = {name: each for name, each in bundle.model.state_dict().items() if "num_batches" not in name}
    torch.testing.assert_close(weights, {name: state[name] for name in weights}, rtol=0, atol=0)
    assert first_bad_tensor(bundle.model, bundle.batch, torch.float32, bundle.random) == facts["first_bad_tensor"]
    torch.set_rng_state(bundle.random)
    total = float(bundle.model(bundle.batch).total.detach())
    assert not math.isfinite(total) or total > 100 or facts["first_bad_tensor"].startswith("the gradient")


def test_the_file_is_no_pickle(diverged: tuple[Path, str]) -> None:
    content = (diverged[0] / DIVERGED).read_bytes()
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(content)
    assert {"random", "image.0.pixels", "image.0.boxes", "model.roi.classes.weight"} <= load_file(
        diverged[0] / DIVERGED
    ).keys()


def test_another_file_is_refused(diverged: tuple[Path, str], tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text").write_text("no tensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((diverged[0] / DIVERGED).read_bytes()[:-50])
    for path in (tmp_path / "other.safetensors", tmp_path / "text", damaged, tmp_path / "nowhere"):
        with pytest.raises(ModelFileError, match=rf"^E123 {path} is no bundle of a step that diverged: "):
            read_bundle(path)


def test_a_full_disk_costs_the_bundle_alone(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> tuple[Path, None]:
        raise MachineError("no space left to write it", code="E133")

    monkeypatch.setattr(loop, "write_bundle", full)
    settings_file(tmp_path, epochs=30, warmup_steps=0)
    words = ["train", str(squares), "--config", str(tmp_path / "tiny.yaml"), "--out", str(tmp_path / "run")]
    assert main([*words, "--lr", "1e9"]) == 3
    error = capsys.readouterr().err
    assert "warning: what went into the step is not kept: E133 no space left to write it" in error
    assert "all that went into it" not in error
