"""A run with a transform: the same with any number of workers, and one that never loads code by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from faster_rcnn import Detector
from faster_rcnn.cli.main import main
from faster_rcnn.errors import OptionError
from made_data import settings_file, train_with

AUGMENT = """
import random

def turn(image, boxes, labels):
    if random.random() < 0.5:
        return image, boxes, labels
    boxes = boxes.copy()
    boxes[:, [0, 2]] = image.shape[1] - boxes[:, [2, 0]]
    return image[:, ::-1], boxes, labels

def cut(image, boxes, labels):
    return image[:, 1:], boxes, labels

def paint(image, boxes, labels):
    image[:] = 255, 0, 255
    return image, boxes[:0], labels[:0]
"""
TURN = "augment.py:turn"


@pytest.fixture
def data(squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    settings_file(tmp_path, epochs=1, flip=0, photometric=0, scale_jitter=[1, 1])
    (tmp_path / "augment.py").write_text(AUGMENT)
    return squares


def trained(data: Path, out: str, **more: Any) -> Path:
    return train_with(data, config=Path("tiny.yaml"), out=Path(out), **more)


def test_workers_change_nothing_and_the_transform_something(data: Path) -> None:
    models = [
        load_file(trained(data, f"run-{number}", transform=transform, workers=workers) / "last.safetensors")
        for number, (transform, workers) in enumerate([(TURN, 0), (TURN, 2), (None, 0)])
    ]
    different = [any(not models[0][name].equal(each[name]) for name in models[0]) for each in models]
    assert different == [False, False, True]


def test_a_run_goes_on_with_its_transform_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(data, "run", transform=TURN)
    assert json.loads((run / "transform.json").read_text())["transform"] == TURN
    with pytest.raises(OptionError) as caught:
        train_with(data, out=run, resume=True, epochs=2)
    assert str(caught.value) == (
        f"E124 the run in run was begun with the transform {TURN}, and a run never loads code by itself: name it again "
        f"with --transform {TURN}"
    )
    with pytest.raises(OptionError, match=r"E124 the run in run was begun with the transform .*, and --transform n"):
        train_with(data, out=run, resume=True, epochs=2, transform="augment.py:paint")
    train_with(data, out=run, resume=True, epochs=2, transform=TURN)
    assert "has changed" not in capsys.readouterr().err
    Path("augment.py").write_text(f"{AUGMENT}\n# another text\n")
    train_with(data, out=run, resume=True, epochs=3, transform=TURN)
    assert f"warning: the text of {TURN} has changed since the run began" in capsys.readouterr().err
    (run / "transform.json").write_text("[]")
    with pytest.raises(OptionError, match=r"E124 .*transform.json cannot be read .*; begin a new run with --weights"):
        train_with(data, out=run, resume=True, epochs=4, transform=TURN)


def test_a_run_without_a_transform_goes_on_without_one(data: Path) -> None:
    run = trained(data, "run")
    assert not (run / "transform.json").exists()
    with pytest.raises(OptionError, match=r"^E124 the run in run was begun without a transform, and --transform names"):
        train_with(data, out=run, resume=True, epochs=2, transform=TURN)


def test_what_else_reads_a_run_needs_no_transform(data: Path) -> None:
    run = trained(data, "run", transform=TURN)
    Path("augment.py").unlink()
    picture = next(data.glob("images/val*.png"))
    assert Detector.load(run).predict(picture) is not None
    assert Detector.load(run).evaluate(data, split="val").images == 2


@pytest.mark.parametrize("workers", [0, 2])
def test_a_transform_that_returns_nonsense_ends_the_command(
    data: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", str(data), "--config", "tiny.yaml", "--out", "run", "--transform", "augment.py:cut"]
    assert main([*words, "--workers", str(workers), "--set", "training.seed=1"]) in (0, 2)
    Path("augment.py").write_text(AUGMENT.replace("image[:, 1:], boxes", "image, boxes + 500"))
    assert main([*words[:5], "other", *words[6:], "--workers", str(workers)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("faster-rcnn: error: E139 ")
    assert ".png: augment.py:cut returned box 0 [" in error
    assert error.endswith("], which leaves the image of 96x64 pixels")


def test_the_preview_shows_it(data: Path) -> None:
    assert main(["train", str(data), "--config", "tiny.yaml", "--preview", "--transform", "augment.py:paint"]) == 0
    with Image.open("preview.png") as sheet:
        colours = np.asarray(sheet.convert("RGB")).reshape(-1, 3)
    assert (colours == [255, 0, 255]).all(axis=1).mean() > 0.5


def test_proposals_do_not_follow_a_transform(data: Path) -> None:
    for setting in ("training.scheme=alternating", "detector.kind=fast-rcnn"):
        with pytest.raises(OptionError, match=rf"^--transform {TURN}: with {setting} the second stage is trained on"):
            trained(data, "run", transform=TURN, settings=[setting])


def test_python_gives_the_function_itself(data: Path) -> None:
    calls: list[int] = []

    def counted(image: Any, boxes: Any, labels: Any) -> Any:
        calls.append(len(boxes))
        return image, boxes, labels

    Detector.train(data, config="tiny.yaml", out="run", transform=counted)
    assert calls == [1] * 6
    with pytest.raises(OptionError, match=r"^transform is a function of this process, and the 2 processes"):
        Detector.train(data, config="tiny.yaml", out="two", transform=counted, processes=2)
