"""Example pictures: always the same ones, spread over the split, readable at any size of image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.settings.schema import DataConfig
from faster_rcnn.training.examples import LONG_SIDE, find_examples
from faster_rcnn.weights.model_file import LoadedModel
from made_data import HEIGHT, WIDTH, make_squares
from tiny import decided_model, tiny_config


def predictor(split: Split) -> Predictor:
    loaded = LoadedModel(decided_model(len(split.classes)), tiny_config(), split.classes)
    return Predictor(prepare(loaded, torch.device("cpu"), torch.float32))


@pytest.fixture
def squares(tmp_path: Path) -> Split:
    return load_dataset(make_squares(tmp_path / "data", {"train": 2, "val": 11}), DataConfig()).splits["val"]


def test_small_images_are_enlarged_three_times_and_boxes_are_counted(squares: Split) -> None:
    examples = find_examples(predictor(squares), squares)
    # 11 / 8 = 1.375
    assert [each.name for each in examples] == [f"val{place}.png" for place in (0, 1, 2, 4, 5, 6, 8, 9)]
    assert {each.picture.size for each in examples} == {(3 * WIDTH, 3 * HEIGHT)}
    assert [each.truths for each in examples] == [1] * 8
    assert all(each.found >= 0 for each in examples)
    assert 3 * WIDTH <= LONG_SIDE


def test_an_image_that_cannot_be_read_is_left_out(squares: Split) -> None:
    squares.records[1].path.write_bytes(b"no image")
    names = [each.name for each in find_examples(predictor(squares), squares)]
    assert names == [f"val{place}.png" for place in (0, 2, 4, 5, 6, 8, 9)]
