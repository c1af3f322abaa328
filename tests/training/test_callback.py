from __future__ import annotations

import doctest
import logging
from pathlib import Path

import pytest

from faster_rcnn import Callback, Detector
from faster_rcnn.errors import FasterRCNNError
from faster_rcnn.training import callback, session
from faster_rcnn.training.callback import Event, RunEnd, notify, notify_of_end
from made_data import make_squares, settings_file, train_with

METHODS = (
    "on_run_start",
    "on_epoch_start",
    "on_step_end",
    "on_validation_start",
    "on_validation_step",
    "on_validation_end",
    "on_epoch_end",
    "on_run_end",
)


class Recording(Callback):
    """Keeps every event with the name of its method."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []
        for name in METHODS:
            setattr(self, name, lambda event, name=name: self.events.append((name, event)))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def of(self, method: str) -> list[Event]:
        return [event for name, event in self.events if name == method]


class Failing(Callback):
    def on_run_end(self, event: RunEnd) -> None:
        raise ZeroDivisionError("division by zero")


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 6, "val": 2})


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings_file(tmp_path_factory.mktemp("settings"), epochs=2)


@pytest.fixture
def end() -> RunEnd:
    return RunEnd(Path("run"), 2, Path("run/best.safetensors"), "all epochs are done", None)


def test_every_event_has_a_method_and_the_methods_of_a_callback_do_nothing() -> None:
    assert tuple(callback._METHODS.values()) == METHODS
    for kind, name in callback._METHODS.items():
        assert getattr(Callback(), name)(object.__new__(kind)) is None


def test_the_example_works(capsys: pytest.CaptureFixture[str]) -> None:
    [example] = [each for each in doctest.DocTestFinder().find(callback) if each.name.endswith(".Callback")]
    assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
    event = callback.EpochEnd(1, 2, 3, {"epoch": 1, "AP": 0.5}, True, Path("run/best.safetensors"))
    example.globs["losses"].on_epoch_end(event)
    assert capsys.readouterr().out == f"epoch 1: AP 0.5, best model in {Path('run/best.safetensors')}\n"


def test_a_run_calls_a_callback_in_order(squares: Path, config: Path, tmp_path: Path) -> None:
    recording = Recording()
    detector = Detector.train(squares, config=config, out=tmp_path / "run", callbacks=[recording])
    assert detector.classes.names == ("dark", "light")
    epoch = [
        *("on_epoch_start", "on_step_end", "on_step_end"),  # 6 images in batches of 4
        *("on_validation_start", "on_validation_step", "on_validation_step", "on_validation_end", "on_epoch_end"),
    ]
    assert recording.names() == ["on_run_start", *epoch, *epoch, "on_run_end"]
    [start], [run_end] = recording.of("on_run_start"), recording.of("on_run_end")
    assert isinstance(start, callback.RunStart)
    assert (start.folder, start.epochs, start.steps, start.step) == (tmp_path / "run", 2, 4, 0)
    assert start.config.training.batch == 4
    steps = [event for event in recording.of("on_step_end") if isinstance(event, callback.StepEnd)]
    assert [(each.epoch, each.step) for each in steps] == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert [sum(each.images for each in pair) for pair in (steps[:2], steps[2:])] == [6, 6]
    assert all(each.loss == pytest.approx(sum(each.losses.values())) for each in steps)
    ends = [event for event in recording.of("on_epoch_end") if isinstance(event, callback.EpochEnd)]
    lines = (tmp_path / "run/metrics.csv").read_text().splitlines()
    assert lines[0].split(",") == list(ends[0].row)
    assert [each.row["step"] for each in ends] == [2, 4]
    validated = [event for event in recording.of("on_validation_end") if isinstance(event, callback.ValidationEnd)]
    assert validated[0].metrics["AP"] == ends[0].row["AP"]
    assert isinstance(run_end, RunEnd)
    assert (run_end.reason, run_end.error, run_end.step) == ("all epochs are done", None, 4)
    assert run_end.best_model == ends[-1].best_model == tmp_path / "run/best.safetensors"


def test_each_step_of_alternating_training_is_a_run(squares: Path, config: Path, tmp_path: Path) -> None:
    recording = Recording()
    settings = ["training.scheme=alternating", "training.epochs=1"]
    Detector.train(squares, config=config, out=tmp_path / "run", settings=settings, callbacks=[recording])
    starts = [event for event in recording.of("on_run_start") if isinstance(event, callback.RunStart)]
    assert [each.folder for each in starts] == [tmp_path / f"run/step-{number}" for number in (1, 2, 3, 4)]
    assert len(recording.of("on_run_end")) == 4


def test_an_exception_of_a_callback_is_raised_and_the_run_can_go_on(
    squares: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopping(Callback):
        def on_step_end(self, event: callback.StepEnd) -> None:
            if event.step == 3:
                raise FasterRCNNError("enough for the user")

    recording = Recording()
    with pytest.raises(FasterRCNNError, match="enough for the user") as raised:
        Detector.train(squares, config=config, out=tmp_path / "run", callbacks=[Stopping(), recording])
    assert raised.value.__notes__ == ["raised by on_step_end of the callback Stopping"]
    assert "saved after step 3; go on with: faster-rcnn train" in capsys.readouterr().err
    [run_end] = recording.of("on_run_end")
    assert isinstance(run_end, RunEnd)
    assert (run_end.error, run_end.reason) == (raised.value, "enough for the user")
    Detector.train(squares, out=tmp_path / "run", resume=True, callbacks=[recording])
    assert recording.names()[-1] == "on_run_end"
    assert (tmp_path / "run/summary.json").exists()


def test_an_interruption_is_reported_to_callbacks(
    squares: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    recording = Recording()
    monkeypatch.setattr(session, "run_training", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_with(squares, config=config, out=tmp_path / "run", callbacks=[recording])
    [_, run_end] = [event for _, event in recording.events]
    assert isinstance(run_end, RunEnd)
    assert (run_end.reason, run_end.best_model) == ("interrupted", None)


def test_a_callback_that_fails_at_the_end_of_a_run_hides_nothing(end: RunEnd, caplog: pytest.LogCaptureFixture) -> None:
    recording = Recording()
    with pytest.raises(ZeroDivisionError) as raised:
        notify_of_end([Failing(), recording], end)
    assert raised.value.__notes__ == ["raised by on_run_end of the callback Failing"]
    assert recording.names() == ["on_run_end"]
    failed = RunEnd(end.folder, 2, None, "out of memory", MemoryError("out of memory"))
    with caplog.at_level(logging.WARNING, "faster_rcnn"):
        notify_of_end([Failing(), recording], failed)
    assert recording.names() == ["on_run_end", "on_run_end"]
    assert "ZeroDivisionError: division by zero, raised by on_run_end of the callback Failing" in caplog.text


def test_callbacks_are_called_in_their_order(end: RunEnd) -> None:
    first, second = Recording(), Recording()
    second.events = first.events
    notify([first, second], end)
    assert first.names() == ["on_run_end", "on_run_end"]
