"""A fixed padding computes what TensorFlow's padding computes, for sides that are multiples of the stride."""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch.testing import assert_close

from faster_rcnn.building import build_model
from faster_rcnn.export.padding import pad_alike
from tiny import tiny_preset


def test_features_stay_and_no_padding_depends_on_the_input() -> None:
    model = build_model(tiny_preset("small"), 2).eval()
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = model.backbone(pixels)
        assert pad_alike(model) > 0
        found = model.backbone(pixels)
    for one, other in zip(found, expected, strict=True):
        assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert not any(isinstance(each, Conv2dSame) for each in model.modules())


def test_sides_that_are_no_multiples_of_the_stride_keep_their_padding() -> None:
    config = tiny_preset("small")
    image = config.image.model_copy(update={"multiple_of": 8})
    model = build_model(config.model_copy(update={"image": image}), 2)
    assert pad_alike(model) == 0
