from __future__ import annotations

import csv
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from faster_rcnn.model import FasterRCNN
from faster_rcnn.training import loop, run_folder
from faster_rcnn.training.callback import Callback, EpochEnd, StepEnd, ValidationStep
from faster_rcnn.training.loop import Interrupted, Validate, run_training
from faster_rcnn.training.running import Run, restore_state
from made_data import make_squares
from made_runs import prepared


class Counting(Callback):
    """A callback that only counts."""

    def __init__(self) -> None:
        self.steps = self.validated = 0

    def on_step_end(self, event: StepEnd) -> None:
        self.steps += 1

    def on_validation_step(self, event: ValidationStep) -> None:
        self.validated += 1


def scripted(*values: float) -> Validate:
    """Validation that gives these APs, one per epoch."""
    queue = list(values)

    def validate(model: FasterRCNN, image_done: Callable[[], None]) -> Mapping[str, float | None]:
        image_done()
        return {"AP": queue.pop(0)}

    return validate


def go(run: Run, *aps: float, stop_after: int | None = None) -> str:
    counting = Counting()
    try:
        return run_training(
            run, scripted(*aps), [counting], lambda: signal.SIGINT if counting.steps == stop_after else 0
        )
    finally:
        run.train.close()


def assert_same_weights(one: Run, other: Run) -> None:
    for (name, mine), theirs in zip(one.model.state_dict().items(), other.model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 18, "val": 3})


@pytest.fixture(scope="module")
def whole(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two epochs that nothing interrupted."""
    run = prepared(squares, tmp_path_factory.mktemp("whole") / "run")
    go(run, 0.1, 0.2)
    return run


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_the_same_seed_gives_the_same_weights_to_the_last_bit(squares: Path, tmp_path: Path, workers: int) -> None:
    first = prepared(squares, tmp_path / "a", epochs=4, workers=0)
    second = prepared(squares, tmp_path / "b", epochs=4, workers=workers)
    for run in (first, second):
        go(run, 0.1, 0.2, 0.3, 0.4)
    assert first.progress.step == 20  # four epochs of 18 images in batches of 4: 5 steps each
    assert_same_weights(first, second)


def test_another_seed_gives_other_weights(squares: Path, tmp_path: Path) -> None:
    first, second = (prepared(squares, tmp_path / str(seed), epochs=1, seed=seed) for seed in (0, 1))
    for run in (first, second):
        go(run, 0.1)
    assert not torch.equal(first.model.roi.classes.weight, second.model.roi.classes.weight)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(squares: Path, tmp_path: Path, average: float) -> None:
    whole = prepared(squares, tmp_path / "whole", ema_decay=average)
    go(whole, 0.1, 0.2)
    broken = prepared(squares, tmp_path / "broken", ema_decay=average)
    with pytest.raises(Interrupted) as raised:
        go(broken, 0.1, 0.2, stop_after=7)  # the second step of the second epoch
    assert raised.value.signal == signal.SIGINT
    resumed = prepared(squares, tmp_path / "broken", ema_decay=average)
    state = run_folder.read_state(tmp_path / "broken")
    assert state is not None
    restore_state(resumed, state)
    assert (resumed.progress.epoch, resumed.progress.steps_of_epoch, resumed.progress.step) == (1, 2, 7)
    go(resumed, 0.2)
    assert_same_weights(whole, resumed)
    assert (tmp_path / "whole/last.safetensors").read_bytes() == (tmp_path / "broken/last.safetensors").read_bytes()
    rows = [
        list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())) for name in ("whole", "broken")
    ]
    for one, other in zip(*rows, strict=True):
        assert {**one, "training_seconds": ""} == {**other, "training_seconds": ""}


def test_a_signal_during_validation_is_not_kept_waiting(squares: Path, whole: Run, tmp_path: Path) -> None:
    broken, counting = prepared(squares, tmp_path / "broken"), Counting()
    with pytest.raises(Interrupted):
        run_training(broken, scripted(0.9, 0.2), [counting], lambda: signal.SIGTERM if counting.validated else 0)
    broken.train.close()
    assert not (tmp_path / "broken/metrics.csv").exists()
    resumed = prepared(squares, tmp_path / "broken")
    state = run_folder.read_state(tmp_path / "broken")
    assert state is not None
    restore_state(resumed, state)
    assert (resumed.progress.epoch, resumed.progress.steps_of_epoch) == (0, 5)
    go(resumed, 0.1, 0.2)
    assert_same_weights(whole, resumed)
    assert [row["AP"] for row in resumed.progress.rows] == [0.1, 0.2]


def test_the_best_model_is_of_the_epoch_with_the_highest_ap(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", 0.0)  # the last model of every epoch is on the disk
    run = prepared(squares, tmp_path / "run", epochs=3)
    kept: list[bytes] = []

    class Keeping(Callback):
        def on_epoch_end(self, event: EpochEnd) -> None:
            kept.append((tmp_path / "run/last.safetensors").read_bytes())

    assert run_training(run, scripted(0.2, 0.5, 0.4), [Keeping()], lambda: 0) == "all epochs are done"
    assert (tmp_path / "run/best.safetensors").read_bytes() == kept[1]
    assert run.progress.best_epoch == 1


def test_patience_ends_a_run_that_gets_no_better(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run", epochs=9, patience=2)
    assert go(run, 0.3, 0.2, 0.3, 0.9) == "no better AP for 2 epochs"
    assert run.progress.epoch == 3  # the first was the best; two more did not beat it


def test_without_validation_every_epoch_is_trained_and_the_last_is_best(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 6})
    run = prepared(data, tmp_path / "run", epochs=3, patience=1)
    assert go(run) == "all epochs are done"
    assert (tmp_path / "run/best.safetensors").read_bytes() == (tmp_path / "run/last.safetensors").read_bytes()
    assert run.progress.best_epoch == 2


def test_where_weights_are_averaged_the_average_is_the_model(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run", epochs=1, ema_decay=0.9)
    go(run, 0.1)
    stored = load_file(tmp_path / "run/best.safetensors")["roi.classes.weight"]
    assert run.average is not None
    torch.testing.assert_close(stored, run.average.model.roi.classes.weight, rtol=0, atol=0)
    assert not torch.equal(stored, run.model.roi.classes.weight)


def test_losses_fall_on_images_that_are_repeated(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run", epochs=8, lr=0.8)
    go(run, *[0.1] * 8)
    first, last = run.progress.rows[0], run.progress.rows[-1]
    # The second stage's losses may rise at first: the better the proposals, the more of them are worth correcting.
    for loss in ("train_rpn_objectness", "train_rpn_box"):
        assert last[loss] < first[loss], loss


def test_last_model_and_state_are_written_every_so_often_and_at_the_end(squares: Path, tmp_path: Path) -> None:
    run = prepared(squares, tmp_path / "run", epochs=3)
    steps: list[int] = []

    class Reading(Callback):
        def on_epoch_end(self, event: EpochEnd) -> None:
            state = run_folder.read_state(tmp_path / "run")
            assert state is not None
            steps.append(state["progress"].step)

    run_training(run, scripted(0.1, 0.2, 0.3), [Reading()], lambda: 0)
    # Five steps an epoch: the first state is written, the second epoch ends within seconds, the third is the last.
    assert steps == [5, 5, 15]


class Failing(Callback):
    """A callback that fails in one of its methods, the first time that it is called."""

    def __init__(self, method: str, after: int = 0) -> None:
        self.left = after
        setattr(self, method, self._fail)

    def _fail(self, event: object) -> None:
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("method", "after"),
    [("on_epoch_start", 0), ("on_step_end", 6), ("on_validation_step", 0), ("on_epoch_end", 0)],
)
def test_a_run_that_a_callback_ended_goes_on_as_if_nothing_had_happened(
    squares: Path, whole: Run, tmp_path: Path, method: str, after: int
) -> None:
    broken = prepared(squares, tmp_path / "broken")
    with pytest.raises(ZeroDivisionError) as raised:
        run_training(broken, scripted(0.1, 0.2), [Counting(), Failing(method, after)], lambda: 0)
    broken.train.close()
    assert raised.value.__notes__ == [f"raised by {method} of the callback Failing"]
    resumed = prepared(squares, tmp_path / "broken")
    state = run_folder.read_state(tmp_path / "broken")
    assert state is not None
    restore_state(resumed, state)
    go(resumed, *([0.2] if resumed.progress.epoch else [0.1, 0.2]))
    assert_same_weights(whole, resumed)
    assert [row["AP"] for row in resumed.progress.rows] == [0.1, 0.2]
