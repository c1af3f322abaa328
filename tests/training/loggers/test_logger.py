from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.settings.schema import Config
from faster_rcnn.training.callback import EpochEnd, RunEnd, RunStart, StepEnd
from faster_rcnn.training.loggers.logger import KNOWN, STEPS, Logger, files_of, known_run, remember_run

START = RunStart(Path("run"), Config(), 2, 40, 0)
END = RunEnd(Path("run"), 40, None, "all epochs are done", None, {"a.jpg": Image.new("RGB", (4, 3))})


class Memory(Logger):
    """Keeps what is sent."""

    title = "Memory"

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.sent: list[tuple[str, object]] = []

    def begin(self, event: RunStart) -> None:
        self.sent.append(("begin", event.step))

    def log_numbers(self, values: Mapping[str, float], step: int) -> None:
        if self.error:
            raise self.error
        self.sent.append(("numbers", (dict(values), step)))

    def log_pictures(self, pictures: Mapping[str, Image.Image], step: int) -> None:
        self.sent.append(("pictures", (list(pictures), step)))

    def finish(self, event: RunEnd) -> None:
        self.sent.append(("finish", event.reason))


def step(number: int) -> StepEnd:
    return StepEnd(1, number, {"rpn_box": float(number)}, 2.0 * number, 0.1, 4)


def test_numbers_of_steps_are_means_and_those_of_epochs_are_the_row() -> None:
    logger = Memory()
    logger.on_run_start(START)
    for number in range(1, STEPS + 4):
        logger.on_step_end(step(number))
    logger.on_epoch_end(EpochEnd(1, 2, STEPS + 3, {"epoch": 1, "AP": 0.25, "APs": None}, True, Path("best")))
    logger.on_run_end(END)
    mean = (STEPS + 1) / 2
    assert logger.sent == [
        ("begin", 0),
        ("numbers", ({"step/rpn_box": mean, "step/loss": 2 * mean, "step/lr": 0.1}, STEPS)),
        ("numbers", ({"epoch": 1.0, "AP": 0.25}, STEPS + 3)),
        ("pictures", (["a.jpg"], 40)),
        ("finish", "all epochs are done"),
    ]


def test_a_service_that_fails_is_told_once_and_gets_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    logger = Memory(ConnectionError("refused\nmore lines"))
    logger.on_run_start(START)
    with caplog.at_level(logging.WARNING, logger="faster_rcnn"):
        for number in range(1, 3 * STEPS + 1):
            logger.on_step_end(step(number))
        logger.on_run_end(END)
    [record] = caplog.records
    assert record.getMessage() == ("nothing more is sent to Memory: ConnectionError: refused; the training goes on")
    assert logger.sent == [("begin", 0)]


def test_the_names_of_a_run_are_kept_in_its_folder(tmp_path: Path) -> None:
    assert known_run(tmp_path, "mlflow") is None
    remember_run(tmp_path, "mlflow", "a1")
    remember_run(tmp_path, "wandb", "b2")
    assert (known_run(tmp_path, "mlflow"), known_run(tmp_path, "wandb")) == ("a1", "b2")
    (tmp_path / KNOWN).write_text("[1, 2")
    assert known_run(tmp_path, "mlflow") is None


def test_services_keep_all_files_but_the_state(tmp_path: Path) -> None:
    for name in ("best.safetensors", "diverged.safetensors", "state.pt", KNOWN, "metrics.csv"):
        (tmp_path / name).touch()
    (tmp_path / "tensorboard").mkdir()
    assert [path.name for path in files_of(tmp_path)] == ["best.safetensors", "metrics.csv"]
