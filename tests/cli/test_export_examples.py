"""Images for an export come from files or from labelled data, as many as are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.cli.export_examples import ExampleOptions
from faster_rcnn.errors import OptionError
from faster_rcnn.export.int8 import MAX_IMAGES
from faster_rcnn.export.verification import GIVEN
from faster_rcnn.settings.schema import DataConfig
from files import coco_folder, image_file


def test_int8_takes_more_images_than_a_comparison(tmp_path: Path) -> None:
    for number in range(GIVEN + 2):
        image_file(tmp_path / f"{number}.png", 20, 30)
    options = ExampleOptions([str(tmp_path)], None, None)
    assert len(options.read(DataConfig()).pixels) == GIVEN
    assert len(options.read(DataConfig(), "int8").pixels) == GIVEN + 2 <= MAX_IMAGES
    none = ExampleOptions(None, None, None).read(DataConfig(), "int8")
    assert (none.pixels, none.labelled) == ((), None)


def test_a_damaged_image_and_one_of_too_many_pixels_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, side in (("b.png", 20), ("c.png", 60)):
        image_file(tmp_path / name, side, side)
    (tmp_path / "a.png").write_bytes(b"no image")
    [one] = ExampleOptions([str(tmp_path)], None, None).read(DataConfig(max_pixels=1000)).pixels
    assert one.shape == (3, 20, 20)
    assert "a.png" in caplog.text
    assert "c.png" in caplog.text
    assert caplog.messages[-1] == "2 of 3 images cannot be read; 1 are used"


def test_labelled_data_gives_its_training_images_and_a_split_to_measure(tmp_path: Path) -> None:
    rows = [[(0, 5, 5, 10, 10)]]
    coco_folder(tmp_path, rows * 3, split="train")
    coco_folder(tmp_path, rows, split="val")
    examples = ExampleOptions(None, tmp_path, None).read(DataConfig(), "int8")
    assert examples.labelled is not None
    assert examples.labelled.name == "val"
    assert len(examples.pixels) == 3


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_a_precision_that_needs_objects_asks_for_images(precision: str) -> None:
    with pytest.raises(OptionError, match=rf"--precision {precision} is .*--images FOLDER, .*--data DATA"):
        ExampleOptions(None, None, None).refuse_missing(precision)
    ExampleOptions(["a"], None, None).refuse_missing(precision)
    ExampleOptions(None, None, None).refuse_missing("float32")
