from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from faster_rcnn import Callback, Detector
from faster_rcnn.errors import (
    DivergedError,
    ElsewhereError,
    FasterRCNNError,
    InputError,
    MachineError,
    OptionError,
    VerificationError,
)
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.system.console import shown
from faster_rcnn.training import launch
from faster_rcnn.training.launch import train_or_launch
from made_data import make_squares, settings_file, train_with


@dataclass
class Launcher:
    """In place of processes: it notes their arguments, writes lines and has an exit code."""

    code: int = 0
    lines: list[str] = field(default_factory=list)
    calls: list[tuple[list[str], int]] = field(default_factory=list)
    taken: bool = False

    def __call__(self, arguments: Sequence[str], count: int, *, line_done: Callable[[str], None] | None = None) -> int:
        self.calls.append((list(arguments), count))
        self.taken = line_done is not None
        if line_done is not None:
            worker = threading.Thread(target=lambda: [line_done(each) for each in self.lines])
            worker.start()
            worker.join()
        return self.code


@pytest.fixture
def launcher(monkeypatch: pytest.MonkeyPatch) -> Launcher:
    found = Launcher()
    monkeypatch.setattr(launch, "run_processes", found)
    return found


@pytest.fixture
def trained_here(monkeypatch: pytest.MonkeyPatch) -> list[TrainOptions]:
    """The options of trainings in this process, which do nothing."""
    found: list[TrainOptions] = []

    def train(data: Path, options: TrainOptions, callbacks: object) -> Path:
        found.append(options)
        return Path("run")

    monkeypatch.setattr(launch, "train", train)
    return found


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_squares(tmp_path / "data", {"train": 4})


def test_one_process_trains_here(data: Path, launcher: Launcher, trained_here: list[TrainOptions]) -> None:
    asked = [TrainOptions(), TrainOptions(processes=1), TrainOptions(settings=["training.processes=1"])]
    for options in asked:
        train_or_launch(data, options)
    assert (trained_here, launcher.calls) == (asked, [])


@pytest.mark.parametrize("how", ["option", "setting", "file"])
def test_more_processes_get_the_same_command_and_a_folder(
    how: str, data: Path, tmp_path: Path, launcher: Launcher, trained_here: list[TrainOptions]
) -> None:
    options = {
        "option": TrainOptions(processes=2, epochs=3),
        "setting": TrainOptions(settings=["training.processes=2", "training.flip=0"]),
        "file": TrainOptions(config=settings_file(tmp_path, processes=2)),
    }[how]
    with shown():
        assert train_or_launch(data, options) == Path("runs/data")
    given = {
        "option": ["--epochs=3", "--processes=2"],
        "setting": ["--set=training.processes=2", "--set=training.flip=0"],
        "file": [f"--config={tmp_path / 'tiny.yaml'}"],
    }[how]
    assert launcher.calls == [(["train", "--out=runs/data", *given, "--", str(data)], 2)]
    assert not trained_here


def test_a_launched_process_trains_by_itself(
    data: Path, launcher: Launcher, trained_here: list[TrainOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("RANK", "0")
    train_or_launch(data, TrainOptions(processes=2))
    assert (len(trained_here), launcher.calls) == (1, [])


def test_a_run_that_goes_on_keeps_its_processes(
    data: Path, tmp_path: Path, launcher: Launcher, trained_here: list[TrainOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train_with(data, config=settings_file(tmp_path, epochs=1))
    stored = (run / "config.yaml").read_text()
    assert "processes: 1\n" in stored
    train_or_launch(data, TrainOptions(resume=True))
    assert trained_here == [TrainOptions(resume=True, out=Path("runs/data"))]
    (run / "config.yaml").write_text(stored.replace("processes: 1\n", "processes: 2\n"))
    train_or_launch(data, TrainOptions(resume=True))
    assert launcher.calls == [(["train", "--out=runs/data", "--resume", "--", str(data)], 2)]


@pytest.mark.parametrize(
    ("options", "gpus", "message"),
    [
        ({"processes": 8}, 0, r"^--processes 8: a step has 4 images, and each process needs one; give --batch 8 or "),
        ({"processes": 2, "batch": 1}, 0, r"^--processes 2: a step has 1 image, "),
        ({"processes": 3}, 2, r"^E126 3 processes on this machine, which has 2 GPUs: start at most 2, or "),
        ({"processes": 2, "device": "cuda:1"}, 2, r"^E126 --device cuda:1: the 2 processes on this machine have a GPU"),
        ({"processes": 0}, 0, r"^E125 --processes 0"),
        ({"settings": ["training.processes=two"]}, 0, r"^E125 .*training\.processes=two"),
    ],
)
def test_processes_that_cannot_work_are_not_started(
    options: dict[str, object],
    gpus: int,
    message: str,
    data: Path,
    launcher: Launcher,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(OptionError, match=message):
        train_or_launch(data, TrainOptions(**options))  # type: ignore[arg-type]
    assert launcher.calls == []
    assert not Path("runs").exists()


def test_more_processes_than_gpus_may_compute_on_the_cpu(
    data: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    train_or_launch(data, TrainOptions(processes=4, device="cpu"))
    assert launcher.calls[0][1] == 4


def test_callbacks_stay_in_one_process(data: Path, launcher: Launcher) -> None:
    remedy = r"torchrun --standalone --nproc-per-node 2 SCRIPT, or train with processes=1$"
    with pytest.raises(OptionError, match=remedy):
        Detector.train(data, processes=2, callbacks=[Callback()])
    assert launcher.calls == []


@pytest.mark.parametrize(
    ("levels", "flags"),
    [({}, []), ({"quiet": True}, ["--quiet"]), ({"verbose": True, "debug": True}, ["--verbose", "--debug"])],
)
def test_other_processes_show_as_much(
    levels: dict[str, bool], flags: list[str], data: Path, launcher: Launcher
) -> None:
    with shown(**levels):
        train_or_launch(data, TrainOptions(processes=2))
    assert launcher.calls[0][0][: len(flags) + 1] == [*flags, "train"]
    assert not launcher.taken


def test_messages_are_logged_where_nothing_is_shown(
    data: Path,
    launcher: Launcher,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "faster_rcnn")
    monkeypatch.setattr(launch, "flags_of_shown", lambda: None)  # the other tests of this folder show everything
    launcher.lines = ["seed: 0", "", "warning: no validation split", "faster-rcnn: error: E105 a.png: broken"]
    launcher.code = 2
    with pytest.raises(InputError, match=r"^E105 a.png: broken$") as raised:
        train_or_launch(data, TrainOptions(processes=2))
    assert raised.value.__cause__ is None
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("INFO", "seed: 0"),
        ("WARNING", "no validation split"),
    ]
    assert launcher.taken


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, FasterRCNNError), (2, InputError), (3, DivergedError), (4, VerificationError), (5, MachineError)],
)
def test_an_exit_code_is_an_error(code: int, kind: type[FasterRCNNError], data: Path, launcher: Launcher) -> None:
    launcher.code = code
    with shown(), pytest.raises(FasterRCNNError, match=f"in 2 processes failed with exit code {code}") as raised:
        train_or_launch(data, TrainOptions(processes=2))
    assert type(raised.value) is kind
    assert raised.value.exit_code == code
    assert isinstance(raised.value.__cause__, ElsewhereError)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_is_interrupted_here(number: signal.Signals, data: Path, launcher: Launcher) -> None:
    launcher.code = 128 + number
    with pytest.raises(KeyboardInterrupt) as raised:
        train_or_launch(data, TrainOptions(processes=2))
    assert getattr(raised.value, "signal", None) == number


def test_settings_are_read_without_messages(data: Path, launcher: Launcher, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "faster_rcnn")
    train_or_launch(data, TrainOptions(processes=2))
    assert caplog.records == []  # the processes log them
    assert logging.getLogger("faster_rcnn").level == logging.DEBUG
