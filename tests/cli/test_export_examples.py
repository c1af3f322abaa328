"""Images for an export come from files or from labelled data, as many as are used."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.cli.export_examples import Examples
from faster_rcnn.errors import OptionError
from faster_rcnn.export.int8 import MAX_IMAGES
from faster_rcnn.export.verification import GIVEN
from files import coco_folder, image_file
from tiny import tiny_config


def test_int8_takes_more_images_than_a_comparison(tmp_path: Path) -> None:
    for number in range(GIVEN + 2):
        image_file(tmp_path / f"{number}.png", 20, 30)
    examples = Examples([str(tmp_path)], None, None)
    assert len(examples.pixels()) == GIVEN
    assert len(examples.pixels("int8")) == GIVEN + 2 <= MAX_IMAGES
    assert Examples(None, None, None).pixels("int8") == []
    assert examples.labelled(tiny_config()) is None


def test_labelled_data_gives_its_training_images_and_a_split_to_measure(tmp_path: Path) -> None:
    rows = [[(0, 5, 5, 10, 10)]]
    coco_folder(tmp_path, rows * 3, split="train")
    coco_folder(tmp_path, rows, split="val")
    examples = Examples(None, tmp_path, None)
    part = examples.labelled(tiny_config())
    assert part is not None
    assert part.name == "val"
    assert len(examples.pixels("int8")) == 3


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_a_precision_that_needs_objects_asks_for_images(precision: str) -> None:
    with pytest.raises(OptionError, match=rf"--precision {precision} is .*--images FOLDER, .*--data DATA"):
        Examples(None, None, None).refuse_missing(precision)
    Examples(["a"], None, None).refuse_missing(precision)
    Examples(None, None, None).refuse_missing("float32")
