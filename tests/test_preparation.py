"""Images of any sizes become batches, and boxes find their way there and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn import images
from faster_rcnn.images import rescale_boxes
from faster_rcnn.preparation import Preparation
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import ImageSize, Proposals
from tiny import boxes_of, random_image, tiny_model

PREPARATION = Preparation(ImageConfig(short_side=32, long_side=64), stride=16)


def with_channels_last(image: Tensor) -> Tensor:
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)


@pytest.mark.parametrize("resize_method", ["antialias", "plain"])
@pytest.mark.parametrize(("height", "width"), [(700, 900), (300, 4000), (900, 65), (40, 50), (64, 96)])
def test_in_which_order_pixels_lie_changes_no_bit(
    height: int, width: int, resize_method: Literal["antialias", "plain"]
) -> None:
    model, image = tiny_model(image={"resize": resize_method}), random_image(height, width)
    expected = model.preparation.pad([model.preparation.resized(image)]).pixels
    model.preparation = replace(model.preparation, memory_format=torch.channels_last)
    found = model.preparation.pad([model.preparation.resized(with_channels_last(image))]).pixels
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert expected.is_contiguous()


def test_a_large_image_is_prepared_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = tiny_model(image={"resize": "plain"}), random_image(300, 200)
    expected = model.preparation.resized(image)
    monkeypatch.setattr(images, "LARGE", 0)
    # Divided by a deviation of 0.225, and up to 2.6 in size.
    assert_close(model.preparation.resized(image), expected, rtol=0, atol=1e-5)


def test_images_of_one_padded_size_share_a_batch() -> None:
    # Short side 32: 64 x 80 becomes 32 x 40, padded to 32 x 48; 64 x 96 becomes 32 x 48; 96 x 64 becomes 48 x 32.
    given = [random_image(64, 80), random_image(96, 64), random_image(64, 96)]
    wide, high = PREPARATION.groups(given)
    assert (wide.indices, high.indices) == ((0, 2), (1,))
    assert wide.originals == (ImageSize(64, 80), ImageSize(64, 96))
    assert wide.images.sizes == (ImageSize(32, 40), ImageSize(32, 48))
    assert wide.images.pixels.shape == (2, 3, 32, 48)
    assert high.images.pixels.shape == (1, 3, 48, 32)
    assert not bool(wide.images.pixels[0, :, :, 40:].any())
    for index, group, place in ((0, wide, 0), (2, wide, 1), (1, high, 0)):
        alone = PREPARATION.resized(given[index])
        assert torch.equal(group.images.pixels[place, :, : alone.shape[1], : alone.shape[2]], alone)


def test_no_images_make_no_groups() -> None:
    assert list(PREPARATION.groups([])) == []


def test_the_padded_size_is_that_of_the_batch() -> None:
    for size in (ImageSize(64, 80), ImageSize(96, 64), ImageSize(30, 300), ImageSize(1, 1)):
        [group] = PREPARATION.groups([random_image(*size)])
        assert PREPARATION.padded_size(size) == ImageSize(*group.images.pixels.shape[-2:])


def test_the_multiple_of_the_settings_wins_over_the_stride() -> None:
    assert PREPARATION.multiple == 16
    other = replace(PREPARATION, image=ImageConfig(short_side=32, long_side=64, multiple_of=40))
    assert other.padded_size(ImageSize(64, 96)) == ImageSize(40, 80)  # 32 x 48, to multiples of 40


def test_boxes_of_a_group_are_those_of_its_images_and_come_back() -> None:
    given = [random_image(64, 80), random_image(96, 64), random_image(64, 96)]
    boxes = [boxes_of([[0, 0, 10 + index, 20]]) for index in range(3)]
    wide, _ = PREPARATION.groups(given)
    resized = wide.resized(boxes, rescale_boxes)
    # Both sides of both images are halved.
    assert_close(torch.cat(resized), boxes_of([[0, 0, 5, 10], [0, 0, 6, 10]]))
    back = wide.in_originals(resized, rescale_boxes)
    assert list(back) == [0, 2]
    assert_close(torch.cat(list(back.values())), torch.cat([boxes[0], boxes[2]]))


def test_external_proposals_are_moved_to_the_resized_images() -> None:
    [group] = PREPARATION.groups([random_image(64, 80)])
    assert group.proposals(None) is None
    moved = group.proposals([Proposals(boxes_of([[8, 4, 40, 60]]), torch.tensor([0.5]))])
    assert moved is not None
    assert_close(moved[0].boxes, boxes_of([[4, 2, 20, 30]]))
    assert_close(moved[0].scores, torch.tensor([0.5]))
