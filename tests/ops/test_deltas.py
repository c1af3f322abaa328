"""Eq. 2 of the paper, both ways: by hand and as a round trip."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.deltas import decode, encode
from tiny import boxes_of, integer_boxes

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
# Reference: 20 wide, 40 high, centre (20, 40). Box: 20 wide, 80 high, centre (30, 70).
REFERENCE, BOX = boxes_of([[10, 20, 30, 60]]), boxes_of([[20, 30, 40, 110]])
# tx = (30 - 20) / 20 = 0.5, ty = (70 - 40) / 40 = 0.75, tw = log(20 / 20) = 0, th = log(80 / 40) = log 2.
DELTAS = torch.tensor([[0.5, 0.75, 0.0, math.log(2)]])


def test_encode_is_equation_2() -> None:
    assert_close(encode(BOX, REFERENCE), DELTAS)


def test_decode_solves_equation_2() -> None:
    assert_close(decode(DELTAS, REFERENCE), BOX)


def test_weights_multiply_the_deltas() -> None:
    assert_close(encode(BOX, REFERENCE, WEIGHTS), torch.tensor([[5.0, 7.5, 0.0, 5 * math.log(2)]]))
    assert_close(decode(torch.tensor([[5.0, 7.5, 0.0, 5 * math.log(2)]]), REFERENCE, WEIGHTS), BOX)


def test_zero_deltas_leave_the_reference() -> None:
    assert_close(decode(torch.zeros(1, 4), REFERENCE, WEIGHTS), REFERENCE)


def test_a_side_grows_to_at_most_1000_sixteenths() -> None:
    # 16 pixels at (0..16) become 16 * 62.5 = 1000 around the centre 8: -492..508; a hundred would be exp(100).
    grown = decode(torch.tensor([[0.0, 0.0, 100.0, 0.0]]), boxes_of([[0, 0, 16, 16]]))
    assert_close(grown, boxes_of([[-492, 0, 508, 16]]), rtol=1e-5, atol=1e-3)


def test_the_limit_of_growth_applies_to_the_change_not_to_the_weighted_delta() -> None:
    # Weighted by 5, a delta of 10 is a change of exp(2) only: 16 * 7.389 = 118.2 around 8.
    grown = decode(torch.tensor([[0.0, 0.0, 10.0, 0.0]]), boxes_of([[0, 0, 16, 16]]), WEIGHTS)
    half = 8 * math.exp(2)
    assert_close(grown, boxes_of([[8 - half, 0, 8 + half, 16]]), rtol=1e-5, atol=1e-4)


def test_shrinking_is_not_limited() -> None:
    shrunk = decode(torch.tensor([[0.0, 0.0, -20.0, 0.0]]), boxes_of([[0, 0, 16, 16]]))
    assert float(shrunk[0, 2] - shrunk[0, 0]) < 1e-6


def test_no_boxes_to_encode_or_decode() -> None:
    assert encode(boxes_of([]), boxes_of([])).shape == (0, 4)
    assert decode(torch.zeros(0, 4), boxes_of([])).shape == (0, 4)
    assert decode(torch.zeros(2, 0, 4), torch.zeros(2, 0, 4)).shape == (2, 0, 4)


@settings(deadline=None, max_examples=60)
@given(
    integer_boxes(least=1, most=1, side=1000), integer_boxes(least=1, most=1, side=1000), st.sampled_from((1.0, 7.5))
)
def test_decoding_encoded_deltas_gives_the_box(box: Tensor, reference: Tensor, weight: float) -> None:
    weights = (weight, weight, 2 * weight, 3 * weight)
    wide, high = (box[:, 2:] - box[:, :2] > 62.5 * (reference[:, 2:] - reference[:, :2]))[0].tolist()
    if wide or high:  # beyond the limit of growth there is no way back
        return
    assert_close(decode(encode(box, reference, weights), reference, weights), box, rtol=1e-4, atol=1e-2)


@settings(deadline=None, max_examples=60)
@given(
    integer_boxes(least=1, most=1), integer_boxes(least=1, most=1), st.integers(-50, 50), st.sampled_from((2.0, 8.0))
)
def test_deltas_are_invariant_to_translation_and_scale(
    box: Tensor, reference: Tensor, shift: int, scale: float
) -> None:
    # What makes the first stage translation invariant (section 3.1.1).
    assert_close(encode(box * scale + shift, reference * scale + shift), encode(box, reference), rtol=1e-4, atol=1e-5)
