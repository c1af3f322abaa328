"""A graph prepares an image of its size as the detector does."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.export.preparation import FixedPreparation
from faster_rcnn.preparation import Preparation
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import ImageSize
from tiny import random_image

SIZES = [ImageSize(90, 130), ImageSize(200, 70), ImageSize(64, 64)]


@pytest.mark.parametrize("method", ["antialias", "plain"])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_those_of_the_detector(method: str, size: ImageSize) -> None:
    rule = Preparation(ImageConfig.model_validate({"short_side": 64, "long_side": 128, "resize": method}), 32)
    images = torch.stack([random_image(*size, seed) for seed in (1, 2)])
    [group] = rule.groups(list(images))
    pixels, limits, factors = FixedPreparation(rule, size)(images)
    assert_close(pixels, group.images.pixels, rtol=0, atol=2e-6)
    resized = group.images.sizes[0]
    assert limits.tolist() == [[resized.width, resized.height] * 2]
    expected = torch.tensor([size.width / resized.width, size.height / resized.height] * 2)
    assert_close(factors, expected)
