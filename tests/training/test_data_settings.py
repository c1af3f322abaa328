"""What follows the training images: anchors where the preset's fit few objects, and proposals for many objects."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.settings.presets import preset
from faster_rcnn.settings.resolve import resolved
from faster_rcnn.settings.schema import Config, DataConfig
from faster_rcnn.settings.train_options import TrainOptions
from faster_rcnn.structures import ImageSize
from faster_rcnn.training.data_settings import following_data
from files import coco_folder

PLAIN = {"follow_data": False}
"""The change of a run whose data need nothing else."""


def split_of(folder: Path, *sides: float, images: int = 1) -> Split:
    """Images of 416 x 416 pixels, which `small` does not resize, each with a square of each side."""
    rows = [(0, 5.0 + place % 20, 5.0, side, side) for place, side in enumerate(sides)]
    root = coco_folder(folder / "data", [rows] * images, split="train", size=ImageSize(416, 416))
    return load_dataset(root, DataConfig()).splits["train"]


def changed(before: Config, after: Config) -> dict[str, Any]:
    old, new = before.model_dump(), after.model_dump()
    assert {**old, "rpn": None} == {**new, "rpn": None}
    return {name: value for name, value in new["rpn"].items() if value != old["rpn"][name]}


def test_anchors_that_fit_are_kept(tmp_path: Path) -> None:
    config = preset("small")
    assert changed(config, following_data(config, split_of(tmp_path, 30, 60, 120, 240))) == PLAIN


def test_tiny_objects_get_anchors_on_the_finest_level(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = preset("small")
    with caplog.at_level(logging.INFO):
        changes = changed(config, following_data(config, split_of(tmp_path, 8, 9, 10, 12, 14, 16)))
    assert changes["follow_data"] is False
    assert len(changes["anchor_sizes"][0]) == 2  # stride 4: 12 pixels are less than two strides of 8
    assert 8 <= changes["anchor_sizes"][0][0] <= 10
    assert "anchors fitted to 6 objects: " in caplog.text
    assert "--set rpn.follow_data=false keeps the preset's" in caplog.text


def test_long_objects_get_other_shapes_on_the_same_levels(tmp_path: Path) -> None:
    rows = [(0, 5.0, 5.0, 300.0, 30.0 + each) for each in range(8)]
    root = coco_folder(tmp_path, [rows], split="train", size=ImageSize(416, 416))
    config = preset("small")
    changes = changed(config, following_data(config, load_dataset(root, DataConfig()).splits["train"]))
    assert changes["anchor_sizes"][0] == ()
    assert all(each < 0.5 for each in changes["anchor_heights_over_widths"])


def test_settings_of_the_user_are_kept(tmp_path: Path) -> None:
    split = split_of(tmp_path, *[9.0] * 60)
    config = preset("small")
    own = {"anchor_sizes": ((32,), (64,), (128,), (256,), (512,)), "proposals_after_nms": 50}
    given = config.model_copy(update={"rpn": config.rpn.model_copy(update=own)})
    assert changed(given, following_data(given, split)) == PLAIN
    never = config.model_copy(update={"rpn": config.rpn.model_copy(update=PLAIN)})
    assert following_data(never, split) == never
    alone = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": "fast-rcnn"})})
    assert following_data(alone, split) == alone


@pytest.mark.parametrize("ratios", [(0.7, 1.0, 1.4), (1.0,), ((0.5, 1.0, 2.0),) * 5])
def test_aspect_ratios_of_the_user_are_kept(tmp_path: Path, ratios: tuple[Any, ...]) -> None:
    split = split_of(tmp_path, 8, 9, 10, 12, 14, 16)  # whose anchors would be fitted
    given = resolved(TrainOptions(settings=[f"rpn.anchor_heights_over_widths={json.dumps(ratios)}"]))
    assert given.rpn.anchor_heights_over_widths == ratios
    assert changed(given, following_data(given, split)) == PLAIN


def test_many_objects_get_more_proposals(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = preset("small")
    with caplog.at_level(logging.INFO):
        changes = changed(config, following_data(config, split_of(tmp_path, *[60.0] * 40)))
    assert changes == {**PLAIN, "proposals_after_nms": 200}
    assert "an image has 40 objects: 200 proposals instead of 100" in caplog.text
