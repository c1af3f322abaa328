from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from faster_rcnn.training.callback import EpochEnd, EpochStart, RunEnd, StepEnd, ValidationStart, ValidationStep
from faster_rcnn.training.display import TrainingDisplay

ROW = {"epoch": 1, "train_rpn_box": 0.5, "val_rpn_box": 0.75, "AP": 0.25, "AP50": None}
NAMES = ("rpn_objectness", "rpn_box", "roi_class", "roi_box")
END = RunEnd(Path("run"), 2, Path("run/best.safetensors"), "all epochs are done", None)


def step(*losses: float) -> StepEnd:
    return StepEnd(1, 1, dict(zip(NAMES, losses, strict=True)), sum(losses), 0.02, 4)


def epoch_end(row: Mapping[str, float | None], epochs: int = 3) -> EpochEnd:
    return EpochEnd(int(row["epoch"] or 0), epochs, 2, row, True, Path("run/best.safetensors"))


def one_epoch(display: TrainingDisplay) -> None:
    display.on_epoch_start(EpochStart(1, 3, 2, 0))
    display.on_step_end(step(0.5, 0.25, 1.0, 0.125))
    display.on_step_end(step(0.5, 0.25, 1.0, 0.125))
    display.on_validation_start(ValidationStart(1, 40))
    for done in range(40):
        display.on_validation_step(ValidationStep(1, done + 1))
    display.on_epoch_end(epoch_end(ROW))
    display.on_run_end(END)


def test_a_log_has_a_line_of_training_and_one_of_the_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    one_epoch(TrainingDisplay(("AP", "AP50")))
    assert capsys.readouterr().err.splitlines() == [
        # 0.5 + 0.25 + 1 + 0.125
        "epoch 1/3  2/2  loss 1.88  rpn_objectness 0.5  rpn_box 0.25  roi_class 1  roi_box 0.125  lr 0.02  in 0:00",
        "epoch 1/3  loss 0.500, validation 0.750  AP 0.250  AP50 n/a  best so far",
    ]


def test_the_first_steps_have_nearly_equal_weights(capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay(())
    display.on_epoch_start(EpochStart(1, 1, 2, 0))
    for value in (3.0, 1.0):
        display.on_step_end(step(*[value] * 4))
    display.on_run_end(END)
    # (0.9 * 3 + 1) / 1.9 = 1.947, and four times that is 7.789
    assert "2/2  loss 7.79  rpn_objectness 1.95  rpn_box 1.95" in capsys.readouterr().err


def test_the_line_of_an_epoch_fits_80_columns_and_has_no_validation_where_there_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    display = TrainingDisplay(("AP", "AP50"))
    validated = {"epoch": 199, "train_rpn_box": 12.5, "val_rpn_box": 10.25, "AP": 0.5, "AP50": 0.75}
    display.on_epoch_end(epoch_end(validated, epochs=200))
    display.on_epoch_end(epoch_end({"epoch": 200, "train_rpn_box": 12.5}, epochs=200))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "epoch 199/200  loss 12.500, validation 10.250  AP 0.500  AP50 0.750  best so far",
        "epoch 200/200  loss 12.500",
    ]
    assert max(map(len, lines)) <= 80


def test_a_detector_that_finds_nothing_is_not_the_best_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay(("AP", "AP50"))
    for ap in (0.0, None, 0.001):
        display.on_epoch_end(epoch_end({"epoch": 1, "train_rpn_box": 1.0, "val_rpn_box": 1.0, "AP": ap, "AP50": 0.5}))
    assert [line.endswith("best so far") for line in capsys.readouterr().err.splitlines()] == [False, False, True]


def test_a_resumed_epoch_counts_earlier_steps_but_not_their_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    display = TrainingDisplay(("AP",))
    display.on_epoch_start(EpochStart(1, 3, 100, 90))
    now = 40.0
    display.on_step_end(step(0.5, 0.25, 1.0, 0.125))
    assert "91/100" in (line := capsys.readouterr().err)
    assert line.endswith("6:00 left\n")  # 9 more at 40 s each
    display.on_run_end(END)


def test_a_log_has_lines_of_validation_where_it_is_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    display = TrainingDisplay(("AP",))
    display.on_validation_start(ValidationStart(1, 40))
    for done in range(10):
        now = 4.0 * (done + 1)
        display.on_validation_step(ValidationStep(1, done + 1))
    # 32 more at 4 s each: a line is due every 30 s, and the image that ends after 32 s is the first one after that.
    assert capsys.readouterr().err == "validating  8/40  2:08 left\n"
    display.on_run_end(END)


def test_a_terminal_has_a_bar_of_validation_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    one_epoch(TrainingDisplay(("AP", "AP50")))
    shown = capsys.readouterr().err
    assert re.search("epoch 1/3 .* 2/2  in 0:00  loss 1.88", shown)
    assert re.search("validating .* 40/40  in 0:00", shown)


def test_validation_that_is_interrupted_leaves_the_terminal_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    display = TrainingDisplay(("AP",))
    display.on_validation_start(ValidationStart(1, 40))
    display.on_run_end(RunEnd(Path("run"), 2, None, "interrupted", KeyboardInterrupt()))
    one_epoch(display)  # Rich refuses a second bar while the first one is shown
