"""A graph that computes sizes and weights itself prepares images as the detector does."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.export.any_size import AnySizePreparation
from faster_rcnn.preparation import Preparation
from faster_rcnn.settings.schema import ImageConfig
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
