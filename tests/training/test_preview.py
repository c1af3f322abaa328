from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faster_rcnn.cli.main import main
from faster_rcnn.data.records import Dataset
from faster_rcnn.data.training_image import TrainingImage
from faster_rcnn.errors import DatasetError, OptionError
from faster_rcnn.settings.schema import Config
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.structures import ClassMap
from faster_rcnn.training import preview
from faster_rcnn.training.labelled import load_for_training
from faster_rcnn.training.preview import write_preview
from made_data import make_squares, settings_file

PLAIN = ["training.flip=0", "training.photometric=0", "training.scale_jitter=[1,1]"]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    settings_file(tmp_path, epochs=1)
    return make_squares(tmp_path / "data", {"train": 5, "val": 2})


def options(**more: object) -> TrainOptions:
    return TrainOptions(config=Path("tiny.yaml"), **more)  # type: ignore[arg-type]


def test_the_sheet_shows_the_augmented_images_of_the_first_epoch(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(data), "--config", "tiny.yaml", "--preview"]) == 0
    err = capsys.readouterr().err
    assert "5 images of the first epoch as they are trained on, with " in err
    assert err.endswith(" boxes: preview.png; nothing was trained\n")
    with Image.open("preview.png") as sheet:
        assert sheet.width == 1600
        first = np.asarray(sheet)
    assert not Path("runs").exists()
    assert write_preview(data, options()) == Path("preview-2.png")  # the same seed gives the same sheet
    np.testing.assert_array_equal(np.asarray(Image.open("preview-2.png")), first)
    assert write_preview(data, options(seed=1, out=Path("o/run"))) == Path("o/run/preview.png")
    other = np.asarray(Image.open("o/run/preview.png"))
    assert other.shape != first.shape or (other != first).any()


def test_the_images_are_those_of_training(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[TrainingImage] = []
    real = preview._drawn

    def draw(image: TrainingImage, classes: ClassMap) -> Image.Image:
        drawn.append(image)
        return real(image, classes)

    monkeypatch.setattr(preview, "_drawn", draw)
    monkeypatch.setattr(preview, "MAX_IMAGES", 3)
    write_preview(data, options(settings=PLAIN))
    assert len(drawn) == 3
    truths = json.loads(next(data.rglob("*train*.json")).read_text())["annotations"]
    for image in drawn:
        assert len(image.truth.boxes) == sum(each["image_id"] == image.image_id for each in truths)


def test_ignored_regions_are_dashed(data: Path) -> None:
    file = next(data.rglob("*train*.json"))
    content = json.loads(file.read_text())
    write_preview(data, options(settings=PLAIN))
    content["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    write_preview(data, options(settings=PLAIN))
    one, other = (np.asarray(Image.open(name)) for name in ("preview.png", "preview-2.png"))
    assert one.shape == other.shape
    assert (one != other).any()


def test_an_image_that_cannot_be_decoded_any_more_is_left_out(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "faster_rcnn")
    images = sorted(data.rglob("train*.png"))
    damaged = images[:1]

    def load(data: Path, config: Config) -> Dataset:
        """Damage files after they were read for the first time."""
        dataset = load_for_training(data, config)
        for each in damaged:
            each.write_bytes(b"no image")
        return dataset

    monkeypatch.setattr(preview, "load_for_training", load)
    write_preview(data, options())
    assert any("cannot decode" in line and line.endswith("; it is left out") for line in caplog.messages)
    assert caplog.messages[-1].startswith("4 images of the first epoch")
    damaged = images
    with pytest.raises(DatasetError, match=r"^E115 none of the 4 images of train can be decoded, see above"):
        write_preview(data, options())


def test_a_run_that_goes_on_has_no_preview(data: Path) -> None:
    with pytest.raises(OptionError, match=r"^E125 --preview shows the first images of a new run; leave out --resume"):
        write_preview(data, options(resume=True))
