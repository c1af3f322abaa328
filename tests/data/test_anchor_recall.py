"""The best IoU of objects with anchors on their grid: by hand, and by brute force over all anchors."""

from __future__ import annotations

import pytest
import torch

from faster_rcnn.data.anchor_recall import best_ious
from faster_rcnn.ops.boxes import iou
from faster_rcnn.rpn.anchors import AnchorGenerator, grid_of_anchors
from faster_rcnn.settings.schema import RpnConfig
from faster_rcnn.structures import ImageSize

RPN = RpnConfig(anchor_sizes=((16.0,), (32.0,)), anchor_heights_over_widths=(1.0,))


def test_by_hand() -> None:
    boxes = torch.tensor([[0.0, 0.0, 16.0, 16.0], [4.0, 0.0, 20.0, 16.0], [8.0, 8.0, 40.0, 40.0]])
    # The first lies on a position of stride 8. The second is half a stride off: 12 x 16 shared of 20 x 16.
    expected = torch.tensor([1.0, 12 / 20, 1.0])
    torch.testing.assert_close(best_ious(boxes, RPN, (8, 8)), expected)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_as_among_all_anchors_of_an_image(offset: float) -> None:
    rpn = RpnConfig(
        anchor_sizes=((), (12.0, 20.0), (40.0, 60.0)), anchor_heights_over_widths=(0.5, 1.0, 2.2), anchor_offset=offset
    )
    first, sides = torch.rand(200, 2) * 180, torch.rand(200, 2) * 60 + 2
    boxes = torch.cat((first, first + sides), dim=1)
    strides = (4, 8, 16)
    ratios = [(0.5, 1.0, 2.2)] * 3
    base = AnchorGenerator(rpn.anchor_sizes, ratios, strides, rounding=rpn.anchor_rounding).base
    anchors = torch.cat(
        [
            grid_of_anchors(each, ImageSize(40, 40), (stride, stride), offset)
            for each, stride in zip(base[1:], strides[1:], strict=True)
        ]
    )
    torch.testing.assert_close(best_ious(boxes, rpn, strides), iou(boxes, anchors).amax(dim=1))


def test_without_objects() -> None:
    assert best_ious(torch.zeros(0, 4), RPN, (8, 8)).shape == (0,)
