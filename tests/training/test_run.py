"""What a training run takes from its options, and what it refuses before the work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.training import schedule
from made_data import make_squares, settings_file, train_with

ALTERNATING = "training.scheme=alternating"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The tiny detector's settings as a file."""
    return settings_file(tmp_path, epochs=1)


def test_epochs_are_as_many_as_few_images_need(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MIN_STEPS", 9)
    monkeypatch.setattr(schedule, "MIN_EPOCHS", 2)
    data = make_squares(tmp_path / "data", {"train": 6})
    run = train_with(data, config=config, out=tmp_path / "run", epochs="auto")
    assert json.loads((run / "summary.json").read_text())["epochs"] == 5  # 9 steps of 2 in each epoch
    assert (
        "epochs auto: 5 epochs of 2 steps, 10 steps in all (at least 12 epochs and 480 steps" in capsys.readouterr().err
    )
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["epochs"] == 5
    (run / "summary.json").unlink()  # as if it had been interrupted
    train_with(data, out=run, resume=True, settings=["training.epochs=auto"])
    assert json.loads((run / "summary.json").read_text())["epochs"] == 5


def test_data_without_a_training_split_is_refused(tmp_path: Path, config: Path) -> None:
    data = make_squares(tmp_path / "data", {"val": 2})
    with pytest.raises(DatasetError, match=r"E115 .*data has no split to train on; it has val\."):
        train_with(data, config=config, out=tmp_path / "run")


def test_a_finished_run_is_not_overwritten(squares: Path, config: Path, tmp_path: Path) -> None:
    train_with(squares, config=config, out=tmp_path / "run")
    with pytest.raises(OptionError, match="is finished; choose another folder with --out, or delete this one"):
        train_with(squares, config=config, out=tmp_path / "run")


def test_alternating_training_needs_both_stages(squares: Path, config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for kind in ("rpn", "fast-rcnn"):
        with pytest.raises(OptionError, match=rf"detector\.kind={kind} has one: leave out the scheme"):
            train_with(squares, config=config, out=out, settings=[ALTERNATING, f"detector.kind={kind}"])
    with pytest.raises(OptionError, match=r"detector\.kind=fast-rcnn, which --proposals makes it, has one"):
        train_with(squares, config=config, out=out, settings=[ALTERNATING], proposals=tmp_path / "file")
    assert not out.exists()


def test_a_number_of_processes_that_the_launcher_did_not_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"^--processes 2: the launcher of this run has started 1 process; leave"):
        train_with(tmp_path, processes=2)
