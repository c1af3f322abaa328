"""Skipping pairs that cannot overlap changes no bit of a comparison, and is done only where it pays."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from faster_rcnn.kernels import matching
from faster_rcnn.kernels.matching import Blocks, compare
from faster_rcnn.ops.assignment import Comparison, compare_all, match
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
    names = ("iou", "truth", "is_best", "in_ignored")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def count_near(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of compared pairs of a truth and a block, one for each call that skips some."""
    counts: list[int] = []
    plain = matching.match_blocks

    def noted(blocks: Blocks, truths: GroundTruth, near: Tensor) -> Comparison:
        counts.append(int(near.sum()))
        return plain(blocks, truths, near)

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
    found, plain = compare(ANCHORS, truth, eligible), compare_all(ANCHORS, truth, eligible)
    assert near
    assert near[0] < 0.2 * count * len(ANCHORS) / matching.BLOCK_SIZE
    assert same(found, plain)
    assert all(bool(each.any()) for each in (found.truth, found.is_best, found.in_ignored))


@settings(deadline=None, max_examples=60)
@given(integer_boxes(least=1, most=10), integer_boxes(least=1, most=5), st.integers(0, 31), st.integers(0, 1023))
def test_both_ways_agree_on_ties(references: Tensor, boxes: Tensor, ignored_bits: int, eligible_bits: int) -> None:
    truth = truth_of(boxes.tolist(), ignored=[bool(ignored_bits >> index & 1) for index in range(len(boxes))])
    eligible = torch.tensor([bool(eligible_bits >> index & 1) for index in range(len(references))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "MIN_PAIRS_FOR_BLOCKS", 1)
        patch.setattr(matching, "BLOCK_SIZE", 2)
        found = compare(references, truth, eligible)
    assert same(found, compare_all(references, truth, eligible))


def test_no_pair_is_skipped_where_it_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    near = count_near(monkeypatch)
    shuffled = ANCHORS[torch.randperm(len(ANCHORS), generator=torch.Generator().manual_seed(0))]
    few, many = (truth_of(small_boxes(count, 2).tolist()) for count in (3, 30))
    for references, truth in ((ANCHORS, few), (shuffled, many)):
        assert same(compare(references, truth, None), compare_all(references, truth, None))
    assert near == []


@pytest.mark.parametrize("max_pairs", [1, 7, 40])
def test_comparing_few_truths_at_a_time_gives_the_same(max_pairs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(60, 2, generator=generator) * 60
    boxes = torch.cat((corners, corners + 4 + torch.rand(60, 2, generator=generator) * 30), dim=1)
    truth = GroundTruth(boxes[:20], torch.zeros(20, dtype=torch.int64), torch.arange(20) % 5 == 0)
    plain = partial(match, boxes[20:], truth, positive_iou=0.7, negative_iou=0.3, best_of_truth=True)
    monkeypatch.setattr(matching, "MAX_PAIRS", max_pairs)
    at_once, in_parts = plain(), plain(compare=compare)
    assert at_once.positive.any()
    assert at_once.negative.any()
    for name in ("truth", "overlap", "positive", "negative"):
        assert torch.equal(getattr(at_once, name), getattr(in_parts, name))


def test_no_references_have_no_best_truth() -> None:
    none = torch.zeros(0, 4)
    for truth in (truth_of([[0, 0, 10, 10]]), truth_of([[0, 0, 10, 10], [5, 5, 9, 9]], ignored=[True, False])):
        assert same(compare(none, truth, None), compare_all(none, truth, None))
