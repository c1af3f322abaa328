"""The four steps of alternating training: their epochs, and an RPN that proposes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.proposals.file import load_proposals
from faster_rcnn.training import schedule
from made_data import settings_file, train_with

ALTERNATING = "training.scheme=alternating"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny detector's settings as a file."""
    return settings_file(tmp_path, epochs=1)


def test_alternating_training_has_the_same_epochs_in_each_step(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MIN_STEPS", 3)
    monkeypatch.setattr(schedule, "MIN_EPOCHS", 1)
    run = train_with(squares, config=config, out=tmp_path / "run", settings=[ALTERNATING, "training.epochs=auto"])
    steps = [json.loads((run / f"step-{number}/summary.json").read_text()) for number in (1, 2, 3, 4)]
    assert [each["epochs"] for each in steps] == [2, 2, 2, 2]  # 3 steps of 2 in each epoch


def test_training_goes_on_where_the_rpn_proposes_nothing(squares: Path, config: Path, tmp_path: Path) -> None:
    settings = [ALTERNATING, "rpn.score_floor=0.999"]
    run = train_with(squares, config=config, out=tmp_path / "run", settings=settings)
    found = load_proposals(run / "step-1/train-proposals.safetensors")
    assert all(len(each.proposals.boxes) == 0 for each in found.images.values())
    assert (run / "best.safetensors").exists()
