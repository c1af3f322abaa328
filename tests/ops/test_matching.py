"""Pairs that cannot overlap are left out, which changes no bit, and only where it pays."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from faster_rcnn.ops import matching
from faster_rcnn.ops.matching import Blocks, Comparison, compare, compare_all
from faster_rcnn.rpn.anchors import base_anchors, grid_of_anchors
from faster_rcnn.structures import GroundTruth, ImageSize
from tiny import integer_boxes, truth_of

ANCHORS = grid_of_anchors(base_anchors([16.0], [0.5, 1.0, 2.0], rounding=False), ImageSize(40, 50), (8.0, 8.0))
"""6,000 of them, over 320 x 400 pixels."""


def small_boxes(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([400, 320])
    return torch.cat((corners, corners + 4 + torch.rand(count, 2, generator=generator) * 60), dim=1)


def same(one: Comparison, other: Comparison) -> bool:
    names = ("overlap", "truth", "is_best", "in_ignored")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def count_near(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Pairs of blocks and truths, each time that some are left out."""
    counts: list[int] = []
    plain = matching.match_blocks

    def noted(blocks: Blocks, boxes: Tensor, ignored: Tensor, near: Tensor) -> Comparison:
        counts.append(int(near.sum()))
        return plain(blocks, boxes, ignored, near)

    monkeypatch.setattr(matching, "match_blocks", noted)
    return counts


@pytest.mark.parametrize("some_eligible", [False, True])
@pytest.mark.parametrize("count", [23, 200])
def test_both_ways_give_the_same_bits(count: int, some_eligible: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    near = count_near(monkeypatch)
    boxes = small_boxes(count, 1)
    boxes[3] = boxes[4]  # two truths that every anchor overlaps as much
    boxes[5] = torch.tensor([900.0, 900, 950, 950])  # one that no anchor overlaps
    boxes[6] = boxes[6, [0, 1, 0, 1]]  # one without an area
    truth = GroundTruth(boxes, torch.zeros(count, dtype=torch.int64), torch.arange(count) % 5 == 0)
    eligible = torch.arange(len(ANCHORS)) % 3 != 0 if some_eligible else None
    found, plain = compare(ANCHORS, truth, eligible), compare_all(ANCHORS, boxes, truth.ignored, eligible)
    assert near
    assert near[0] < 0.2 * count * len(ANCHORS) / matching.BLOCK_SIZE
    assert same(found, plain)
    assert all(bool(each.any()) for each in (found.truth, found.is_best, found.in_ignored))


@settings(deadline=None, max_examples=60)
@given(integer_boxes(least=1, most=10), integer_boxes(least=1, most=5), st.integers(0, 31), st.integers(0, 1023))
def test_both_ways_agree_about_ties(references: Tensor, boxes: Tensor, ignored_bits: int, eligible_bits: int) -> None:
    truth = truth_of(boxes.tolist(), ignored=[bool(ignored_bits >> index & 1) for index in range(len(boxes))])
    eligible = torch.tensor([bool(eligible_bits >> index & 1) for index in range(len(references))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "MIN_PAIRS_FOR_BLOCKS", 1)
        patch.setattr(matching, "BLOCK_SIZE", 2)
        found = compare(references, truth, eligible)
    assert same(found, compare_all(references, boxes, truth.ignored, eligible))


def test_nothing_is_left_out_where_it_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    near = count_near(monkeypatch)
    shuffled = ANCHORS[torch.randperm(len(ANCHORS), generator=torch.Generator().manual_seed(0))]
    few, many = (truth_of(small_boxes(count, 2).tolist()) for count in (3, 30))
    for references, truth in ((ANCHORS, few), (shuffled, many)):
        assert same(compare(references, truth, None), compare_all(references, truth.boxes, truth.ignored, None))
    assert near == []
