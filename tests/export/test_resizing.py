"""Two matrix products resize to the bits of torch's own resizing."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate
from torch.testing import assert_close

from faster_rcnn.export.resizing import antialiasing_weights, averaged, bits_of, plain_weights
from tiny import random_image

SIZES = [((90, 130), (64, 92)), (((61, 47)), (80, 62)), ((900, 40), (64, 3)), ((33, 33), (33, 33))]


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_antialiasing_has_the_bits_of_torch(size: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = random_image(*size)[None]
    expected = interpolate(pixels, size=target, mode="bilinear", antialias=True, align_corners=False)
    rows, columns = (antialiasing_weights(*each) for each in zip(size, target, strict=True))
    narrow = averaged(pixels.float(), columns.matrix, columns.bits)
    found = averaged(narrow.transpose(2, 3), rows.matrix, rows.bits).transpose(2, 3)
    assert torch.equal(found, expected.float())


def test_strong_reduction_needs_weights_of_more_bits_than_float32_adds_exactly() -> None:
    assert antialiasing_weights(900, 40).bits > 16
    assert bits_of(1 / 22) == 19  # 2^19 / 22 = 23,831 < 2^15, and twice that is not


@pytest.mark.parametrize(("size", "target"), SIZES)
def test_plain_sampling_is_that_of_torch(size: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = torch.randn(1, 3, *size)
    expected = interpolate(pixels, size=target, mode="bilinear", align_corners=False)
    narrow = (pixels @ plain_weights(size[1], target[1])).transpose(2, 3)
    assert_close((narrow @ plain_weights(size[0], target[0])).transpose(2, 3), expected, rtol=0, atol=2e-6)
