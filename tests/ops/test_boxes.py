"""Areas, overlaps and clipping: by hand, by properties, and by counting pixels."""

from __future__ import annotations

import itertools
import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.boxes import area, clip, clip_to, intersection, ioa, iou, limits_of, sides_at_least
from faster_rcnn.structures import ImageSize
from tiny import boxes_of, integer_boxes

NONE = boxes_of([])


def pixels_of(box: Tensor) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = (int(each) for each in box)
    return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}


def test_area_is_width_times_height_without_plus_one() -> None:
    # (7 - 2) * (9 - 5) = 20; with the old "+ 1" it would be 30.
    assert_close(area(boxes_of([[2, 5, 7, 9]])), torch.tensor([20.0]))


def test_area_of_boxes_turned_inside_out_is_zero() -> None:
    # Turned in both directions the product of two negative sides would be positive.
    assert_close(area(boxes_of([[7, 5, 2, 9], [7, 9, 2, 5], [3, 3, 3, 8]])), torch.zeros(3))


def test_iou_by_hand() -> None:
    # Shared 5 x 5 = 25; union 100 + 100 - 25 = 175; 25 / 175 = 1 / 7.
    assert_close(iou(boxes_of([[0, 0, 10, 10]]), boxes_of([[5, 5, 15, 15]])), torch.tensor([[1 / 7]]))


def test_iou_of_each_pair_rows_by_columns() -> None:
    a = boxes_of([[0, 0, 4, 4], [10, 10, 12, 12]])
    b = boxes_of([[0, 0, 4, 2], [10, 10, 12, 12], [0, 0, 4, 4]])
    # First row: half of the box; nothing; the box itself. Second row: only the equal box.
    assert_close(iou(a, b), torch.tensor([[0.5, 0.0, 1.0], [0.0, 1.0, 0.0]]))


def test_iou_of_boxes_that_touch_is_zero() -> None:
    assert_close(iou(boxes_of([[0, 0, 4, 4]]), boxes_of([[4, 0, 8, 4], [0, 4, 4, 8], [4, 4, 8, 8]])), torch.zeros(1, 3))


def test_iou_of_empty_boxes_is_zero_and_finite() -> None:
    point = boxes_of([[3, 3, 3, 3]])
    assert_close(iou(point, point), torch.zeros(1, 1))


def test_iou_and_ioa_with_no_boxes() -> None:
    some = boxes_of([[0, 0, 1, 1], [0, 0, 2, 2]])
    for overlap in (iou, ioa, lambda a, b: intersection(a[:, None], b)):
        assert overlap(NONE, some).shape == (0, 2)
        assert overlap(some, NONE).shape == (2, 0)
        assert overlap(NONE, NONE).shape == (0, 0)
    assert area(NONE).shape == (0,)
    assert clip(NONE, ImageSize(3, 4)).shape == (0, 4)
    assert sides_at_least(NONE, 1.0).shape == (0,)


def test_ioa_is_the_share_of_the_first_box() -> None:
    inner, outer = boxes_of([[0, 0, 2, 4]]), boxes_of([[1, 0, 101, 100]])
    # Half of the 2 x 4 box lies inside, 4 of 8 pixels; of the 100 x 100 box only 4 of 10000.
    assert_close(ioa(inner, outer), torch.tensor([[0.5]]))
    assert_close(ioa(outer, inner), torch.tensor([[0.0004]]))


def test_clip_does_not_confuse_height_and_width() -> None:
    # An image 20 wide and 5 high: x ends at 20, y at 5.
    clipped = clip(boxes_of([[-3, -2, 50, 9], [30, 1, 40, 2]]), ImageSize(height=5, width=20))
    assert_close(clipped, boxes_of([[0, 0, 20, 5], [20, 1, 20, 2]]))


def test_clip_to_clips_each_box_to_its_own_image_with_the_bits_of_clip() -> None:
    values = (-0.0, 0.0, -3.0, 1e-40, 4.9, 5.0, 7.0, 300.0, math.inf, -math.inf, math.nan)
    boxes = torch.tensor(list(itertools.product(values, repeat=2))).repeat(1, 2)  # (121, 4)
    sizes = [ImageSize(5, 20), ImageSize(300, 7)]
    limits = limits_of(sizes, boxes)
    assert limits.tolist() == [[20.0, 5.0, 20.0, 5.0], [7.0, 300.0, 7.0, 300.0]]
    found = clip_to(boxes.expand(2, -1, -1), limits[:, None])
    for own, size in zip(found, sizes, strict=True):
        assert torch.equal(own.view(torch.int32), clip(boxes, size).view(torch.int32))
    assert clip_to(NONE, limits_of([], NONE)).shape == (0, 4)


def test_sides_at_least_keeps_the_border_case_and_checks_both_sides() -> None:
    boxes = boxes_of([[0, 0, 2, 9], [0, 0, 9, 2], [0, 0, 1.9, 9], [0, 0, 9, 1.9]])
    assert sides_at_least(boxes, 2.0).tolist() == [True, True, False, False]


@settings(deadline=None, max_examples=60)
@given(integer_boxes(), integer_boxes())
def test_iou_and_ioa_equal_counting_pixels(a: Tensor, b: Tensor) -> None:
    overlaps, shares = iou(a, b), ioa(a, b)
    for i, first in enumerate(a):
        for j, second in enumerate(b):
            one, two = pixels_of(first), pixels_of(second)
            assert_close(float(overlaps[i, j]), len(one & two) / len(one | two), rtol=1e-6, atol=0)
            assert_close(float(shares[i, j]), len(one & two) / len(one), rtol=1e-6, atol=0)


@settings(deadline=None, max_examples=60)
@given(integer_boxes(), integer_boxes(), st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_iou_is_symmetric_within_0_and_1_and_invariant_to_translation(a: Tensor, b: Tensor, dx: int, dy: int) -> None:
    overlaps = iou(a, b)
    assert torch.equal(overlaps, iou(b, a).T)
    assert bool(((overlaps >= 0) & (overlaps <= 1)).all())
    shift = torch.tensor([dx, dy, dx, dy])
    # Integers below 2^24 are exact in float32, so that equality is exact too.
    assert torch.equal(overlaps, iou(a + shift, b + shift))


@settings(deadline=None, max_examples=60)
@given(integer_boxes(least=1))
def test_iou_of_a_box_with_itself_is_one(boxes: Tensor) -> None:
    assert torch.equal(iou(boxes, boxes).diagonal(), torch.ones(len(boxes)))
