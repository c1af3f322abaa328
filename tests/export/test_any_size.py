"""A graph that computes sizes and weights itself prepares images as the detector does."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.export.any_size import AnySizePreparation, _targets
from faster_rcnn.images import target_size
from faster_rcnn.preparation import Preparation
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import ImageSize
from tiny import random_image

SIZES = [(90, 130), (200, 70), (64, 64), (31, 47), (500, 130)]


@pytest.mark.parametrize("method", ["antialias", "plain"])
@pytest.mark.parametrize("rounding", ["down", "nearest"])
def test_pixels_are_those_of_the_detector(method: str, rounding: str) -> None:
    settings = {"short_side": 64, "long_side": 128, "resize": method, "size_rounding": rounding}
    rule = Preparation(ImageConfig.model_validate(settings), 32)
    prepare = AnySizePreparation(rule)
    for size in SIZES:
        image = random_image(*size)
        [group] = rule.groups([image])
        pixels, limits, factors = prepare(image[None])
        assert_close(pixels, group.images.pixels, rtol=0, atol=2e-6)
        resized = group.images.sizes[0]
        assert limits.tolist() == [[resized.width, resized.height] * 2]
        assert_close(factors, torch.tensor([size[1] / resized.width, size[0] / resized.height] * 2))


@pytest.mark.parametrize("rounding", ["down", "nearest"])
def test_targets_are_those_of_python_for_every_side(rounding: Literal["down", "nearest"]) -> None:
    """The product of a side with the quotient of another one by it ends at a whole number, or just below it."""
    for short, long in [(224, 373), (416, 640), (800, 1333)]:
        image = ImageConfig(short_side=short, long_side=long, size_rounding=rounding)
        for side in range(1, 1500, 2):
            size = ImageSize(side, side + 125)
            found = _targets([torch.full((), each, dtype=torch.float64) for each in size], image)
            assert tuple(map(int, found)) == target_size(size, short, long, rounding), size
