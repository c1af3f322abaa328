from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.data.training_image import TrainingImage, training_image
from faster_rcnn.data.transform import Transform
from faster_rcnn.settings.schema import DataConfig, ImageConfig
from faster_rcnn.settings.training import TrainingConfig
from made_data import make_squares

SMALL = ImageConfig(short_side=32, long_side=64)
PLAIN: dict[str, Any] = {"flip": 0, "photometric": 0, "scale_jitter": (1, 1)}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    data = make_squares(tmp_path_factory.mktemp("squares") / "data", {"train": 2})  # of 64 rows and 96 columns
    return load_dataset(data, DataConfig()).splits["train"]


def image_of(split: Split, function: Any = None, epoch: int = 0, index: int = 0, **training: Any) -> TrainingImage:
    transform = None if function is None else Transform(function, "own", None)
    settings = TrainingConfig(**{**PLAIN, **training})
    return training_image(split, index, SMALL, settings, DataConfig(), epoch, transform=transform)


def test_a_transform_that_changes_nothing_changes_nothing(split: Split) -> None:
    changes: list[dict[str, Any]] = [{}, {"flip": 0.5, "photometric": 1, "scale_jitter": (0.5, 2)}]
    for training in changes:
        plain, other = image_of(split, **training), image_of(split, lambda *given: given, **training)
        assert torch.equal(plain.pixels, other.pixels)
        assert torch.equal(plain.truth.boxes, other.truth.boxes)
        assert (plain.seed, plain.canvas) == (other.seed, other.canvas)


def test_a_transform_of_another_size_is_resized_with_its_boxes(split: Split) -> None:
    def half(image: Any, boxes: Any, labels: Any) -> Any:
        return image[:, :32], [[8, 16, 24, 48]], [1]

    image = image_of(split, half)
    assert (image.pixels.shape, image.canvas) == ((3, 64, 32), (64, 32))  # the short side of 32 pixels is kept
    assert image.truth.boxes.tolist() == [[8, 16, 24, 48]]
    smaller = image_of(split, half, scale_jitter=(0.5, 0.5))
    assert smaller.pixels.shape == (3, 64, 32)  # on a canvas of the transformed image's size
    height, width = (smaller.truth.boxes[0, 2:] - smaller.truth.boxes[0, :2]).tolist()[::-1]
    assert (height, width) == (16, 8)


def test_random_numbers_of_a_transform_follow_seed_epoch_and_image(split: Split) -> None:
    def noted(image: Any, boxes: Any, labels: Any) -> Any:
        numbers.append(random.random())
        return image, boxes, labels

    numbers: list[float] = []
    for epoch, index, seed in [(0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]:
        image_of(split, noted, epoch, index, seed=seed)
    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 4


def test_the_file_names_the_image_of_a_fault(split: Split) -> None:
    with pytest.raises(Exception, match=rf"^E139 {Path(split.records[0].path)}: own returned a value of type NoneTyp"):
        image_of(split, lambda image, boxes, labels: None)
