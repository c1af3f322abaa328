"""Sizes, resizing, normalising, padding, and the way back to original pixels."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.images import normalise, pad_to_batch, rescale_boxes, resize, size_of, target_size
from faster_rcnn.structures import ImageSize
from tiny import boxes_of, integer_boxes, random_image, tiny_model


@pytest.mark.parametrize(
    ("height", "width", "target"),
    [
        (480, 640, (800, 1066)),  # 800 / 480 = 1.6667; 640 * 1.6667 = 1066.7, rounded down
        (640, 480, (1066, 800)),
        (600, 1000, (799, 1333)),  # 1333 / 1000 = 1.333 is the smaller factor; 600 * 1.333 = 799.8
        (100, 1000, (133, 1333)),
        (800, 1000, (800, 1000)),
        (215, 601, (476, 1332)),  # 601 * (1333 / 601) is a hair below 1333 in floating point; torchvision's too
        (1, 5000, (1, 1333)),  # 5000 -> 1333 would leave a quarter of a pixel: one is kept
        (1, 1, (800, 800)),
    ],
)
def test_target_size_of_the_reference_model(height: int, width: int, target: tuple[int, int]) -> None:
    assert target_size(ImageSize(height, width), 800, 1333, "down") == ImageSize(*target)


@pytest.mark.parametrize(
    ("height", "width", "target"),
    [
        (480, 640, (800, 1067)),  # 640 * 800 / 480 = 1066.67
        (640, 480, (1067, 800)),
        (427, 640, (800, 1199)),  # 640 * 800 / 427 = 1199.06
        (600, 1000, (800, 1333)),  # 1000 * 800 / 600 = 1333.33 is too long: times 1333 / 1333.33, 799.8 and 1333
        (100, 1000, (133, 1333)),  # 800 and 8000, times 1333 / 8000: 133.3 and 1333
        (320, 333, (800, 833)),  # 333 * 2.5 = 832.5: a half goes up
        (1, 5000, (1, 1333)),
    ],
)
def test_target_size_to_the_nearest_pixel(height: int, width: int, target: tuple[int, int]) -> None:
    assert target_size(ImageSize(height, width), 800, 1333, "nearest") == ImageSize(*target)


def test_the_nearest_pixel_is_that_of_detectron2() -> None:
    """The size by the published definition of its ResizeShortestEdge, written down again."""
    generator = torch.Generator().manual_seed(0)
    for height, width in torch.randint(1, 5000, (20_000, 2), generator=generator).tolist():
        scale = 800 / min(height, width)
        rows, columns = (800, scale * width) if height < width else (scale * height, 800)
        if max(rows, columns) > 1333:
            scale = 1333 / max(rows, columns)
            rows, columns = rows * scale, columns * scale
        expected = ImageSize(max(1, int(rows + 0.5)), max(1, int(columns + 0.5)))
        assert target_size(ImageSize(height, width), 800, 1333, "nearest") == expected


@pytest.mark.parametrize("short_side", [7, 43, 60, 119, 121, 200, 333])
def test_antialiased_resizing_is_pillows_bilinear(short_side: int) -> None:
    """What Detectron2 resizes with, shrinking and enlarging; the last bit of 8 may differ."""
    pixels = random_image(120, 157)
    found = resize(pixels, short_side, 2 * short_side, "antialias", "nearest")
    image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    resized = np.array(image.resize((found.shape[2], found.shape[1]), Image.Resampling.BILINEAR))
    assert int((found.int() - torch.from_numpy(resized).permute(2, 0, 1).int()).abs().max()) <= 1


def test_a_detector_resizes_to_the_nearest_pixel_where_it_is_told_to() -> None:
    # 100 x 150 with a short side of 65: 150 * 0.65 = 97.5, which is 97 or 98.
    widths = {"down": 97, "nearest": 98}
    for rounding, width in widths.items():
        model = tiny_model(image={"short_side": 65, "size_rounding": rounding})
        [group] = model.preparation.groups([random_image(100, 150)])
        assert group.images.sizes == (ImageSize(65, width),)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(16, 1000),
    st.integers(0, 1000),
    st.sampled_from(["down", "nearest"]),
)
def test_target_size_keeps_its_limits(
    height: int, width: int, short_side: int, more: int, rounding: Literal["down", "nearest"]
) -> None:
    target = target_size(ImageSize(height, width), short_side, short_side + more, rounding)
    assert min(target) >= 1
    assert max(target) <= short_side + more
    assert min(target) <= short_side
    # One of the two limits is met, to the pixel that is lost by rounding down.
    assert min(target) >= short_side - 1 or max(target) >= short_side + more - 1


@pytest.mark.parametrize("method", ["antialias", "plain"])
def test_an_image_of_the_right_size_stays_as_it_is(method: Literal["antialias", "plain"]) -> None:
    image = random_image(64, 96)
    resized = resize(image, 64, 128, method, "down")
    expected = image if method == "antialias" else image.float() / 255
    assert resized.dtype == expected.dtype
    assert torch.equal(resized, expected)


def test_antialias_averages_when_shrinking_and_plain_does_not() -> None:
    # Columns 0, 0, 0, 255 repeated, 64 wide, shrunk four times. Plain bilinear reads columns 1 and 2 of each four:
    # all zeros. Antialiasing reads the fourth column too: the mean is 255 / 4, about 64.
    stripes = torch.tensor([0, 0, 0, 255], dtype=torch.uint8).repeat(16).expand(3, 64, 64)
    assert not bool(resize(stripes, 16, 16, "plain", "down").any())
    assert_close(resize(stripes, 16, 16, "antialias", "down").float().mean(), torch.tensor(63.75), rtol=0, atol=2.0)


def test_types_of_resized_images() -> None:
    image = random_image(64, 96)
    assert resize(image, 32, 64, "antialias", "down").dtype == torch.uint8
    assert resize(image, 32, 64, "plain", "down").dtype == torch.float32
    assert resize(image.float() / 255, 32, 64, "antialias", "down").dtype == torch.float32
    assert float(resize(image, 32, 64, "plain", "down").max()) <= 1


def with_channels_last(image: Tensor) -> Tensor:
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def test_plain_is_bilinear_at_the_centres_of_pixels() -> None:
    # Two columns 0 and 1 made four: centres at -0.25, 0.25, 0.75, 1.25 of the old ones, kept within 0..1.
    image = torch.tensor([0.0, 1.0]).expand(3, 2, 2)
    assert_close(resize(image, 4, 4, "plain", "down")[0, 0], torch.tensor([0.0, 0.25, 0.75, 1.0]))


def test_normalise_by_hand() -> None:
    # Red 255 -> 1: (1 - 0.5) / 0.25 = 2; green 0: -0.4 / 0.2 = -2; blue 51 -> 0.2: (0.2 - 0.1) / 0.1 = 1.
    image = torch.tensor([255, 0, 51], dtype=torch.uint8)[:, None, None]
    expected = torch.tensor([2.0, -2.0, 1.0])[:, None, None]
    assert_close(normalise(image, (0.5, 0.4, 0.1), (0.25, 0.2, 0.1)), expected)
    assert_close(normalise(image.float() / 255, (0.5, 0.4, 0.1), (0.25, 0.2, 0.1)), expected)


def test_padding_is_zero_at_the_right_and_bottom_to_a_multiple() -> None:
    small, large = torch.ones(3, 33, 20), torch.full((3, 10, 65), 2.0)
    batch = pad_to_batch([small, large], 32)
    assert batch.pixels.shape == (2, 3, 64, 96)
    assert batch.sizes == (ImageSize(33, 20), ImageSize(10, 65))
    assert_close(batch.pixels[0, :, :33, :20], small)
    assert_close(batch.pixels[1, :, :10, :65], large)
    # What is left is zero: all that is not zero is the images.
    assert int(batch.pixels.ne(0).sum()) == 3 * 33 * 20 + 3 * 10 * 65


def test_a_size_that_is_a_multiple_is_not_padded() -> None:
    assert pad_to_batch([torch.ones(3, 64, 32)], 32).pixels.shape == (1, 3, 64, 32)


def test_boxes_are_rescaled_by_each_side() -> None:
    # From 100 x 200 (height x width) to 50 x 800: y halves, x becomes four times as large.
    boxes = rescale_boxes(boxes_of([[10, 20, 30, 40]]), ImageSize(100, 200), ImageSize(50, 800))
    assert_close(boxes, boxes_of([[40, 10, 120, 20]]))


def test_no_boxes_are_rescaled_to_none() -> None:
    assert rescale_boxes(boxes_of([]), ImageSize(1, 2), ImageSize(3, 4)).shape == (0, 4)


@settings(deadline=None, max_examples=60)
@given(integer_boxes(side=300), st.integers(1, 500), st.integers(1, 500), st.integers(16, 500))
def test_boxes_come_back_from_the_resized_image(boxes: Tensor, height: int, width: int, short_side: int) -> None:
    original = ImageSize(height, width)
    resized = target_size(original, short_side, 2 * short_side, "down")
    there = rescale_boxes(boxes, original, resized)
    assert_close(rescale_boxes(there, resized, original), boxes, rtol=1e-5, atol=1e-3)


def test_the_corner_of_the_image_stays_its_corner_although_sides_were_rounded() -> None:
    # 480 x 641 becomes 800 x 1068 (1068.3); with one factor for both sides the corner would come back at 640.8.
    original = ImageSize(480, 641)
    resized = target_size(original, 800, 1333, "down")
    corner = boxes_of([[0, 0, resized.width, resized.height]])
    assert_close(rescale_boxes(corner, resized, original), boxes_of([[0, 0, 641, 480]]))


def test_size_of_reads_height_then_width() -> None:
    assert size_of(torch.zeros(3, 4, 7)) == ImageSize(height=4, width=7)
