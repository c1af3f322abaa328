"""Messages about labelled images before training starts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from faster_rcnn import Detector
from faster_rcnn.settings.schema import Config
from faster_rcnn.training.labelled import load_for_training, with_val_seed
from made_data import make_squares, train_with
from tiny import tiny_config


def config(image_size: int | None = None, **data: object) -> Config:
    whole = tiny_config()
    sizes = {} if image_size is None else {"short_side": image_size, "long_side": image_size * 2}
    return whole.model_copy(
        update={
            "data": whole.data.model_copy(update=data),
            "image": whole.image.model_copy(update=sizes),
            "training": whole.training.model_copy(update={"seed": 7}),
        }
    )


def test_a_share_is_what_to_do_without_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path, {"train": 10})
    load_for_training(data, config())
    assert "--val-share 0.2 validates on a fifth of the training images" in capsys.readouterr().err
    dataset = load_for_training(data, with_val_seed(config(val_share=0.2)))
    messages = capsys.readouterr().err
    assert "2 of 10 training images are the validation split (data.val_share=0.2, chosen by seed 7)" in messages
    assert "no validation split" not in messages
    assert len(dataset.splits["val"].records) == 2


def test_the_seed_of_the_share_is_written_down_once() -> None:
    assert with_val_seed(config()).data.val_seed is None
    assert with_val_seed(config(val_share=0.5)).data.val_seed == 7
    assert with_val_seed(config(val_share=0.5, val_seed=1)).data.val_seed == 1


def test_images_that_teach_nothing_are_logged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_squares(tmp_path, {"train": 4, "val": 2})
    shutil.copy(data / "images" / "train0.png", data / "images" / "val1.png")
    load_for_training(data, config(image_size=2))
    messages = capsys.readouterr().err.splitlines()
    # 64 x 96 within 2 x 4: a thirty-second of the size, so squares of 16 to 31 pixels are less than one.
    assert any(
        line.startswith("warning: ") and "smaller than a pixel at an image size of 2" in line for line in messages
    )
    assert any(line.startswith("val has 2 images and 2 objects: its AP changes by chance") for line in messages)
    assert any(line.startswith("warning: 1 of 2 images of val are in train, too: val1.png") for line in messages)


def test_a_run_with_a_share_is_evaluated_on_it(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 6})
    settings = ["image.short_side=32", "image.long_side=64"]
    run = train_with(data, out=tmp_path / "run", settings=settings, epochs=1, batch=2, workers=0, seed=3, val_share=0.5)
    detector = Detector.load(run)
    assert (detector.config.data.val_share, detector.config.data.val_seed) == (0.5, 3)
    assert detector.evaluate(data, "val").images == 3
    assert detector.evaluate(data, "train").images == 6
