"""A run whose files were damaged or exchanged does not go on: one line names the file, and nothing in it is run."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.errors import InputError, ModelFileError
from faster_rcnn.training import session
from made_data import make_squares, settings_file, train_with

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings_file(tmp_path_factory.mktemp("settings"), epochs=1, ema_decay=0.9)


class Runs:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def changed(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)

    return damage


def first(tensors: dict[str, Any]) -> str:
    return next(iter(tensors))


def progress(**values: object) -> Damage:
    return changed(lambda state: state["progress"].update(values))


def other_shape(part: str) -> Damage:
    return changed(lambda state: state[part].update({first(state[part]): torch.ones(3)}))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


DAMAGED: dict[str, tuple[Damage, str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is incomplete or damaged"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is incomplete or damaged"),
    "text": (lambda path: path.write_text("hello"), "is "),
    "code": (lambda path: torch.save({"model": Runs(path.parent / "ran")}, path), "is "),
    "code in a plain pickle": (lambda path: path.write_bytes(pickle.dumps(Runs(path.parent / "ran"))), "is "),
    "a list": (lambda path: torch.save([1, 2], path), "is no state of a training run"),
    "weights alone": (lambda path: torch.save({"w": torch.ones(2)}, path), "is no state of a training run"),
    "numbers for weights": (changed(lambda state: state.update(model=3)), "is damaged: its 'model' is anything but"),
    "no average": (changed(lambda state: state.update(average=None)), "does not fit the run: it lacks the average"),
    "a weight less": (changed(lambda state: state["model"].pop(first(state["model"]))), r"its model lacks '"),
    "a weight more": (changed(lambda state: state["model"].update(more=torch.ones(1))), "its model has 'more', which"),
    "other weights": (other_shape("model"), r"of its model is \(3,\) in torch\.float32, not \("),
    "weights that are no numbers": (
        changed(lambda state: state["model"][first(state["model"])].fill_(float("nan"))),
        "of its model is not finite",
    ),
    "another average": (other_shape("average"), r"of its average is \(3,\) in torch\.float32, not \("),
    "no progress": (changed(lambda state: state.update(progress={})), "its 'progress' is incomplete"),
    "progress in words": (progress(epoch="two"), r"is damaged: progress\.epoch: Input should be a valid integer"),
    "before the first epoch": (progress(epoch=-1), r"is damaged: progress\.epoch: .*greater than or equal to 0"),
    "more epochs than lines": (progress(epoch=7), "its 'progress' contradicts itself"),
    "a best epoch to come": (progress(best_epoch=1), "its 'progress' contradicts itself"),
    "lines of words": (progress(rows=[{"epoch": "a", "step": 1, "lr": 0.1}]), "its 'progress' contradicts itself"),
    "a line of infinity": (
        progress(rows=[{"epoch": 1, "step": 1, "lr": float("inf")}]),
        "its 'progress' contradicts itself",
    ),
    "a loss that is no number": (progress(sums={"rpn_box": float("nan")}), r"progress\.sums\.rpn_box: .*finite"),
    "an epoch without images": (progress(images=0), "its 'progress' contradicts itself"),
    "images without number": (progress(images=10**400), "its 'progress' contradicts itself"),
    "no such step": (progress(step=9), "which has 1 epochs of 2 steps: step 9, 0 of epoch 2"),
    "too many steps": (progress(steps_of_epoch=3), "which has 1 epochs of 2 steps: step 2, 3 of epoch 2"),
    "no momentum": (changed(lambda state: state.update(optimizer=[])), "its momentum is not that of the run"),
    "other momentum": (
        changed(lambda state: state["optimizer"]["state"][0].update(momentum_buffer=torch.ones(3))),
        "its momentum is not that of the run",
    ),
    "random numbers cut": (changed(lambda state: state.update(random=state["random"][:9])), "its 'random' is no state"),
    "a folder": (a_folder, "cannot be read: Is a directory"),
}


def refused(squares: Path, run: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as raised:
        train_with(squares, out=run, resume=True)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)
    assert not (run / "ran").exists()
    assert not (run / "summary.json").exists()


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_state_is_named(squares: Path, run: Path, what: str) -> None:
    damage, message = DAMAGED[what]
    damage(run / "state.pt")
    refused(
        squares, run, rf"^E123 {run}/state\.pt .*{message}.* begin a new one .* --weights {run}/last\.safetensors and"
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_pipe_for_a_state_is_not_waited_for(squares: Path, run: Path) -> None:
    a_pipe(run / "state.pt")
    refused(squares, run, r"state\.pt cannot be read: it is a named pipe")


def test_a_state_that_is_a_link_to_nothing_is_gone(squares: Path, run: Path) -> None:
    a_link_to_nothing(run / "state.pt")
    with pytest.raises(InputError, match=r"state\.pt is gone, so this run cannot go on"):
        train_with(squares, out=run, resume=True)


def test_a_state_of_another_run_is_refused(squares: Path, config: Path, run: Path, tmp_path: Path) -> None:
    others = make_squares(tmp_path / "others", {"train": 6, "val": 2}, seed=1)
    for data, settings, message in (
        (squares, ["training.lr=0.5"], r"is of a run with other settings: training\.lr 0\.5 there and 0\.08 here\."),
        (others, [], r"is of a run on other data\."),
    ):
        other = train_with(data, config=config, out=tmp_path / message[-9:-3], settings=settings)
        shutil.copy(other / "state.pt", run / "state.pt")
        refused(squares, run, message)


def test_a_finished_run_whose_state_is_damaged_stays_finished(squares: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    other_shape("model")(run / "state.pt")
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(ModelFileError, match="does not fit the run"):
        train_with(squares, out=run, resume=True, epochs=2)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_a_state_that_does_not_name_its_run_is_gone_on_with(squares: Path, run: Path) -> None:
    changed(lambda state: state.pop("run"))(run / "state.pt")
    train_with(squares, out=run, resume=True)
    assert (run / "summary.json").exists()


OTHER_FILES: dict[str, tuple[str, Damage, str]] = {
    "settings that are no YAML": ("config.yaml", lambda path: path.write_text("a: [b"), r"config\.yaml"),
    "settings that are none": ("config.yaml", lambda path: path.write_text("3"), r"config\.yaml"),
    "bytes for settings": ("config.yaml", lambda path: path.write_bytes(b"\xff\0"), r"config\.yaml"),
    "a folder for settings": ("config.yaml", a_folder, r"config\.yaml"),
    "a record of other data": ("data.json", lambda path: path.write_text("[]"), r"data\.json cannot be read"),
    "a folder for the record": ("data.json", a_folder, r"data\.json cannot be read \(Is a directory\)"),
}


@pytest.mark.parametrize("what", OTHER_FILES)
def test_other_damaged_files_are_named(squares: Path, run: Path, what: str) -> None:
    name, damage, message = OTHER_FILES[what]
    damage(run / name)
    with pytest.raises(InputError, match=message) as raised:
        train_with(squares, out=run, resume=True)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


def test_metrics_and_models_are_written_anew(squares: Path, run: Path) -> None:
    lines = (run / "metrics.csv").read_text()
    (run / "metrics.csv").unlink()
    for name in ("last.safetensors", "report.html"):
        (run / name).write_bytes(b"\0damaged")
    train_with(squares, out=run, resume=True, epochs=2)
    assert (run / "metrics.csv").read_text().startswith(lines)
    assert (run / "metrics.csv").read_text().count("\n") == 3
    assert (run / "summary.json").exists()


def test_an_interruption_before_the_first_step_names_the_state_that_is_there(
    squares: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A signal that comes between the message of a resumed run and its next step."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    (run / "metrics.csv").unlink()
    monkeypatch.setattr(session, "TrainingDisplay", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_with(squares, out=run, resume=True, epochs=2)
    assert (run / "metrics.csv").exists()
    assert (
        f"saved after step 2; go on with: faster-rcnn train {squares} --out {run} --resume" in capsys.readouterr().err
    )
