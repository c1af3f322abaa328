"""A 3x3 convolution at some positions gives what it gives there for the whole map."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.kernels.conv3x3 import conv3x3
from faster_rcnn.kernels.conv3x3_at import conv3x3_at, neighbourhoods


def test_nine_features_row_by_row_of_the_right_image_and_level() -> None:
    # Features count on: level 0 has 1..12 and 13..24 in its two images, level 1 has 25 and 26.
    levels = [torch.arange(1.0, 25).reshape(2, 1, 3, 4), torch.tensor([25.0, 26.0]).reshape(2, 1, 1, 1)]
    rows = neighbourhoods(levels, torch.tensor([[5, 0], [11, 12]]))
    assert rows.tolist() == [
        [1, 2, 3, 5, 6, 7, 9, 10, 11],  # first image, row 1, column 1
        [0, 0, 0, 0, 1, 2, 0, 5, 6],  # its upper left corner
        [19, 20, 0, 23, 24, 0, 0, 0, 0],  # second image, its lower right corner
        [0, 0, 0, 0, 26, 0, 0, 0, 0],  # and its one feature of the second level
    ]


@pytest.mark.parametrize("sides", [(3, 4), (1, 5), (2, 1), (2, 2)])
def test_at_all_positions_it_equals_the_convolution(sides: tuple[int, int]) -> None:
    conv = conv3x3(2, 3)
    features = torch.randn(2, 2, *sides)
    positions = torch.arange(sides[0] * sides[1]).repeat(2, 1)
    weight, bias = conv.parameters()
    found = conv3x3_at([features], positions, weight, bias)
    assert_close(found.reshape(2, *sides, 3).permute(0, 3, 1, 2), conv(features))


def test_features_get_the_gradient_of_every_position_that_reads_them() -> None:
    features = torch.ones(1, 1, 2, 2, requires_grad=True)
    neighbourhoods([features], torch.tensor([[0, 0, 3]])).sum().backward()
    # In a map of two by two each feature is in the neighbourhood of all four positions.
    assert features.grad is not None
    assert features.grad.flatten().tolist() == [3, 3, 3, 3]
