"""A run goes on with its own data and settings only, or for more epochs; whatever differs is named."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from faster_rcnn.errors import ModelFileError, OptionError
from faster_rcnn.training import resume, run_folder
from made_data import settings_file, train_with

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return settings_file(tmp_path_factory.mktemp("settings"), epochs=1)


def edited(change: Callable[[dict[str, Any]], object], splits: tuple[str, ...] = ("train", "val")) -> Change:
    def edit(data: Path) -> None:
        for split in splits:
            file = data / f"annotations/{split}.json"
            content = json.loads(file.read_text())
            change(content)
            file.write_text(json.dumps(content))

    return edit


def named(*names: str) -> Change:
    categories = [{"id": number, "name": name} for number, name in zip((3, 7, 9), names, strict=False)]
    return edited(lambda coco: coco.update(categories=categories))


def without_class(coco: dict[str, Any]) -> None:
    coco["categories"] = coco["categories"][:1]
    coco["annotations"] = [each for each in coco["annotations"] if each["category_id"] == 3]


def halve(coco: dict[str, Any]) -> None:
    coco["annotations"][0]["bbox"][2] /= 2


def relabel(coco: dict[str, Any]) -> None:
    for each in coco["annotations"]:
        each["category_id"] = 10 - each["category_id"]


def drop(coco: dict[str, Any]) -> None:
    coco["images"] = coco["images"][1:]
    coco["annotations"] = [each for each in coco["annotations"] if each["image_id"] != 0]


def add(data: Path) -> None:
    shutil.copy(data / "images/train0.png", data / "images/more.png")
    image = {"id": 99, "file_name": "more.png", "height": 64, "width": 96}
    edited(lambda coco: coco["images"].append(image), ("train",))(data)


def exchange(data: Path) -> None:
    image = data / "images/train0.png"
    Image.open(image).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(image)


DIFFERENT: dict[str, tuple[Change, str]] = {
    "renamed": (named("dark", "bright"), "class 7 was called 'light' and is called 'bright'"),
    "swapped": (named("light", "dark"), "classes have other ids"),
    "added": (named("dark", "light", "grey"), r"class 'grey' \(id 9\) is new"),
    "removed": (edited(without_class), r"class 'light' \(id 7\) is gone"),
    "boxes": (edited(halve, ("train",)), r"1 of 6 images of train have other boxes \(train\d\.png\)"),
    "classes of boxes": (edited(relabel, ("train",)), "6 of 6 images of train have boxes of other classes"),
    "image added": (add, r"1 of 7 images of train are new \(more\.png\)"),
    "image removed": (edited(drop, ("train",)), r"1 of 6 images of train are gone \(train0\.png\)"),
    "image exchanged": (exchange, "1 of 6 images of train have the same name and another content"),
    "validation": (edited(halve, ("val",)), "1 of 2 images of val have other boxes"),
    "no validation": (lambda data: (data / "annotations/val.json").unlink(), "there is no val split any more"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_other_data_are_refused_and_what_differs_is_named(squares: Path, run: Path, tmp_path: Path, what: str) -> None:
    change, message = DIFFERENT[what]
    data = tmp_path / "fruit"
    shutil.copytree(squares, data)
    change(data)
    before = {path: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(OptionError, match=rf"E124 the run in .*run was begun with other data: .*{message}") as raised:
        train_with(data, out=run, resume=True)
    assert raised.value.exit_code == 2
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_a_finished_run_of_other_data_is_not_advised_to_go_on(squares: Path, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(squares, tmp_path / "fruit")
    named("dark", "bright")(tmp_path / "fruit")
    with pytest.raises(OptionError, match=r"E124 the run in .* was begun with other data"):
        train_with(tmp_path / "fruit", out=finished, resume=True)


def test_the_same_data_elsewhere_are_the_same(squares: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(squares, tmp_path / "moved")
    train_with(tmp_path / "moved", out=run, resume=True)
    assert (run / "summary.json").exists()


def test_a_run_without_a_record_of_its_data_is_compared_by_its_classes(
    squares: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(squares, tmp_path / "fruit")
    named("dark", "bright")(tmp_path / "fruit")
    (run / "data.json").unlink()
    with pytest.raises(OptionError, match=r"E124 .*other data: classes dark, light -> dark, bright"):
        train_with(tmp_path / "fruit", out=run, resume=True)
    train_with(squares, out=run, resume=True)
    assert "has no data.json, so only its classes were compared" in capsys.readouterr().err
    assert (run / "data.json").exists()


@pytest.mark.parametrize("name", ["fruit-big", "fruit-2b", "fruits", "fruit"])
def test_without_out_only_a_run_of_these_very_data_goes_on(
    squares: Path, config: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, other = tmp_path / "mine/fruit", tmp_path / f"other/{name}"
    shutil.copytree(squares, mine)
    shutil.copytree(squares, other)
    edited(halve)(other)
    theirs = train_with(other, config=config)
    (theirs / "summary.json").unlink()
    with pytest.raises(OptionError, match=rf"--resume: there is no run of .*fruit to go on with .*runs/{name}"):
        train_with(mine, resume=True)
    shutil.copytree(run, tmp_path / "runs/fruit-7")
    assert train_with(mine, resume=True) == Path("runs/fruit-7")
    assert not (theirs / "summary.json").exists()


def test_resuming_nothing_is_an_error_that_names_runs(squares: Path, run: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "typo", tmp_path):
        with pytest.raises(OptionError, match=r"--resume: .* holds no run to go on with.*leave out --resume"):
            train_with(squares, out=out, resume=True)
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("name", ["config.yaml", "state.pt", "best.safetensors"])
def test_a_run_that_lost_a_file_is_refused_with_what_is_left_of_it(squares: Path, run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(
        OptionError, match=rf"{name} is gone, so .*; begin a new run with --weights .*/last\.safetensors$"
    ):
        train_with(squares, out=run, resume=True)
    (run / "last.safetensors").unlink()
    with pytest.raises(OptionError, match=rf"{name} is gone, so "):
        train_with(squares, out=run, resume=True)


def test_settings_that_the_file_of_a_run_lacks_are_logged(
    squares: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "config.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "  patience:" not in line))
    train_with(squares, out=run, resume=True)
    messages = capsys.readouterr().err
    assert f"{path} does not hold all settings, as in a run of another version: training.patience=0 assumed" in messages
    assert "going on in " in messages
    assert "after step 2, of the last epoch\n" in messages
    path.write_text("")
    with pytest.raises(
        OptionError, match=r"config\.yaml holds no number of training\.epochs, .*; begin a new run with --w"
    ):
        train_with(squares, out=run, resume=True)


def test_resume_with_other_settings_is_refused(squares: Path, run: Path) -> None:
    with pytest.raises(OptionError, match=r"E124 .*other settings: training\.lr 0\.08 -> 0\.5\. Leave"):
        train_with(squares, out=run, resume=True, epochs=9, settings=["training.lr=0.5"])
    with pytest.raises(OptionError, match="leave out --weights"):
        train_with(squares, out=run, resume=True, weights=str(run))
    train_with(squares, out=run, resume=True)  # as it began; all is done, so it only ends properly
    assert (run / "summary.json").exists()


def test_a_finished_run_is_trained_longer(
    squares: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    with pytest.raises(OptionError, match=r"is finished after 1 epoch; train it longer with: .*--resume --epochs 2$"):
        train_with(squares, out=run, resume=True)
    with pytest.raises(OptionError, match=r"is finished after 1 epoch;"):
        train_with(squares, out=run, resume=True, epochs=1)
    train_with(squares, out=run, resume=True, epochs=3)
    # Two steps are done. Of 6 steps the third one has 0.02 * (1 + cos(pi * 2 / 6)) / 2 = 0.015; of 2, it is over.
    assert (
        "3 epochs instead of 1: from step 3 on the learning rate follows the schedule of 3 epochs (6 steps), 0.015 "
        "instead of 0\n" in capsys.readouterr().err
    )
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["2", "4", "6"]
    assert json.loads((run / "summary.json").read_text())["epochs"] == 3
    assert yaml.safe_load((run / "config.yaml").read_text())["training"]["epochs"] == 3
    with pytest.raises(OptionError, match=r"--epochs 2: the run in .* has done 3 epochs; give more than 3"):
        train_with(squares, out=run, resume=True, epochs=2)


def test_an_extension_that_is_interrupted_is_no_finished_run(
    squares: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("faster_rcnn.training.session.run_training", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_with(squares, out=run, resume=True, epochs=2)
    assert not run_folder.is_finished(run)


def test_alternating_training_has_no_more_epochs(squares: Path, config: Path, tmp_path: Path) -> None:
    settings = ["training.scheme=alternating"]
    run = train_with(squares, config=config, out=tmp_path / "run", settings=settings)
    with pytest.raises(OptionError, match=r"all four steps .* are finished; begin a new run with --weights"):
        train_with(squares, out=run, resume=True)
    with pytest.raises(OptionError, match=r"E124 .*training\.epochs 1 -> 2"):
        train_with(squares, out=run, resume=True, epochs=2)
    (run / "summary.json").unlink()
    assert resume.folder_to_resume(run, squares) == run
    train_with(squares, out=run, resume=True)
    assert (run / "summary.json").exists()
    metrics = (run / "metrics.csv").read_text()
    (run / "summary.json").unlink()
    for step, name, content in (("step-2", "summary.json", "[]"), ("step-4", "metrics.csv", None)):
        (run / step / name).unlink()
        if content is not None:
            (run / step / name).write_text(content)
        with pytest.raises(
            ModelFileError, match=rf"{step}/{name} is gone or damaged; delete {run}/{step}/summary\.json and run"
        ):
            train_with(squares, out=run, resume=True)
        (run / step / "summary.json").unlink()
    train_with(squares, out=run, resume=True)
    assert (run / "summary.json").exists()
    assert (run / "metrics.csv").read_text() == metrics
