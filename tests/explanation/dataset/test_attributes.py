from __future__ import annotations

import pytest
import torch

from faster_rcnn.explanation.dataset.attributes import Attributes, attributes_of
from faster_rcnn.structures import ImageSize
from made_surveys import CLASSES, record_of


def test_numbers_of_two_truths_side_by_side() -> None:
    pixels = torch.zeros(3, 100, 200, dtype=torch.uint8)
    pixels[:, 10:50, 20:40] = 255
    # 20 x 40 pixels, white; and 20 x 40 pixels that share the right half of it: IoU = 400 / (800 + 800 - 400) = 1/3
    first, second = attributes_of(record_of([[20, 10, 40, 50], [30, 10, 50, 50]], [1, 0]), pixels, CLASSES)
    assert (first.class_name, second.class_name) == ("dog", "cat")
    assert (first.area, first.height_over_width, first.border) == (800.0, 2.0, 10.0)
    assert first.crowding == second.crowding == pytest.approx(1 / 3)
    assert first.brightness == pytest.approx(1.0)
    assert second.brightness == pytest.approx(0.5)  # one half is white, the other black


def test_luma_weighs_the_colours() -> None:
    pixels = torch.zeros(3, 10, 10, dtype=torch.uint8)
    pixels[1] = 255
    [only] = attributes_of(record_of([[0, 0, 10, 10]], [0], ImageSize(10, 10)), pixels, CLASSES)
    assert only.brightness == pytest.approx(0.587)
    assert (only.crowding, only.border) == (0.0, 0.0)


def test_an_image_without_truth_has_no_attributes() -> None:
    assert attributes_of(record_of([], []), torch.zeros(3, 100, 200, dtype=torch.uint8), CLASSES) == ()


@pytest.mark.parametrize(
    ("numbers", "groups"),
    [
        ((32.0**2, 1.0, 0.0, 1.5, 0.1), ("small", "square", "apart", "inside", "dark")),
        ((32.0**2 + 1, 1.5, 0.29, 1.0, 0.5), ("medium", "tall", "touching", "at-border", "middle")),
        ((96.0**2 + 1, 0.7, 0.3, 0.0, 0.7), ("large", "wide", "crowded", "at-border", "bright")),
    ],
)
def test_groups_begin_at_their_limits(numbers: tuple[float, ...], groups: tuple[str, ...]) -> None:
    found = Attributes("cat", *numbers).groups()
    assert tuple(found.values()) == ("cat", *groups)
    assert tuple(found) == ("class", "size", "aspect", "crowding", "border", "brightness")
