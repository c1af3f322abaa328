"""The demo's files, with a tiny detector in the place of the trained one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn.demo import run as demo
from faster_rcnn.demo.run import DemoFolder, demo_folder, draw_test_pictures, explain_test_picture, train_on_digits
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.settings.train_options import TrainOptions
from files import coco_folder, image_file, loaded_model


def test_a_new_folder_is_free_and_a_demo_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo_folder(None).root == Path("runs/demo")
    Path("runs/demo").mkdir(parents=True)
    assert demo_folder(None).root == Path("runs/demo-2")
    assert demo_folder(Path("mine")).numbers == Path("mine/test.json")
    Path("mine/run").mkdir(parents=True)
    with pytest.raises(OptionError, match="E132 mine holds a demo already; choose another folder with --out"):
        demo_folder(Path("mine"))


def test_the_small_preset_is_trained_on_the_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Path, TrainOptions]] = []
    monkeypatch.setattr(demo, "make_digits", lambda folder: folder)
    monkeypatch.setattr(demo, "train", lambda data, options: calls.append((data, options)))
    train_on_digits(DemoFolder(tmp_path), "cpu")
    [(data, options)] = calls
    assert (data, options.model, options.out) == (tmp_path / "digits", "small", tmp_path / "run")
    assert (options.epochs, options.device) == (5, "cpu")


def test_every_test_picture_is_drawn(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    for name in ("test_1.jpg", "test_2.jpg", "train_1.jpg"):
        image_file(folder.data / "images" / name)
    predictor = Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32))
    draw_test_pictures(folder, predictor)
    assert sorted(path.name for path in folder.pictures.iterdir()) == ["test_1.jpg", "test_2.jpg"]
    assert folder.sheet.stat().st_size > 0
    (folder.data / "images" / "test_3.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"test_3\.jpg"):
        draw_test_pictures(folder, predictor)


def test_the_first_test_picture_with_an_object_is_explained(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    coco_folder(folder.data, [[], [(0, 5, 5, 30, 20)], [(1, 0, 0, 20, 20)]])
    explain_test_picture(folder, Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32)))
    page = folder.explanation.read_text()
    assert folder.explanation == tmp_path / "explanation.html"
    assert "2.png" in page
    assert "1.png" not in page
    assert str(folder.run) in page
