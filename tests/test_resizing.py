"""Resizing in bands and by sampling gives what resizing at once gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn import images, resizing
from faster_rcnn.images import resize
from faster_rcnn.resizing import averaged_in_bands, interpolated, sampled
from faster_rcnn.structures import ImageSize
from tiny import random_image


def with_channels_last(image: Tensor) -> Tensor:
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


@pytest.mark.parametrize(("height", "width"), [(700, 900), (300, 4000), (900, 65), (40, 50)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_large_image_is_resized_in_bands_to_the_same_bits(
    height: int, width: int, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shrunk in both directions, in one, and enlarged; 8-bit, averaged."""
    image = with_channels_last(random_image(height, width)) if channels_last else random_image(height, width)
    expected = resize(image, 64, 128, "antialias", "down")
    monkeypatch.setattr(images, "LARGE", 0)
    assert torch.equal(resize(image, 64, 128, "antialias", "down"), expected)


@pytest.mark.parametrize(("height", "width"), [(700, 900), (300, 4000), (900, 65), (40, 50), (64, 96)])
def test_a_large_image_is_sampled_as_by_torch(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(height, width)
    expected = resize(image, 64, 128, "plain", "down")
    monkeypatch.setattr(images, "LARGE", 0)
    assert_close(resize(image, 64, 128, "plain", "down"), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("band", [1, 60, 61 * 7, 61 * 1000])
def test_the_height_of_a_band_changes_no_bit(band: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of one row, also where a row has more pixels than a band; of 7 rows, the last one of 4; and one band."""
    image, target = random_image(53, 61), ImageSize(20, 33)
    monkeypatch.setattr(resizing, "BAND", band)
    assert torch.equal(averaged_in_bands(image, target), interpolated(image, target, antialias=True))


def test_sampling_by_hand() -> None:
    # Columns 0 and 255 made four: centres at -0.25, 0.25, 0.75, 1.25 of the old ones, kept within 0..1.
    image = torch.tensor([0, 255], dtype=torch.uint8).expand(3, 2, 2)
    assert_close(sampled(image, ImageSize(1, 4))[0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_one_pixel_becomes_an_image_of_its_colour() -> None:
    pixel = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None]
    assert_close(sampled(pixel, ImageSize(3, 2)), torch.tensor([0.0, 0.2, 1.0])[:, None, None].expand(3, 3, 2))
    assert torch.equal(averaged_in_bands(pixel, ImageSize(3, 2)), pixel.expand(3, 3, 2))
