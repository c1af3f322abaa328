"""Which references are positive, negative, neutral (section 3.1.2), and which are sampled (3.1.3)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.ops.assignment import compare_all, match, sample
from faster_rcnn.structures import GroundTruth, Matches
from tiny import boxes_of, integer_boxes, truth_of

TRUTH = truth_of([[0, 0, 10, 10]])


def rpn_match(references: Tensor, truth: GroundTruth) -> Matches:
    return match(references, truth, positive_iou=0.7, negative_iou=0.3, best_of_truth=True)


def roi_match(references: Tensor, truth: GroundTruth) -> Matches:
    return match(references, truth, positive_iou=0.5, negative_iou=0.5, best_of_truth=False)


def matches_of(positives: int, negatives: int, neutrals: int = 0) -> Matches:
    kind = torch.tensor([0] * positives + [1] * negatives + [2] * neutrals)
    return Matches(torch.zeros_like(kind), torch.zeros(len(kind)), kind == 0, kind == 1)


def shared(a: list[float], b: list[float]) -> float:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def size(a: list[float]) -> float:
    return (a[2] - a[0]) * (a[3] - a[1])


def overlap_of(a: list[float], b: list[float]) -> float:
    return shared(a, b) / (size(a) + size(b) - shared(a, b))


def test_positive_from_07_negative_below_03_neutral_between() -> None:
    # Lower parts of the truth: the overlap is their height / 10.
    heights = [10, 7, 6.9, 5, 3, 2.9, 0.1]
    found = rpn_match(boxes_of([[0, 0, 10, height] for height in heights]), TRUTH)
    assert_close(found.overlap, torch.tensor([1, 0.7, 0.69, 0.5, 0.3, 0.29, 0.01]))
    assert found.positive.tolist() == [True, True, False, False, False, False, False]
    assert found.negative.tolist() == [False, False, False, False, False, True, True]


def test_without_a_neutral_zone_a_reference_that_is_not_positive_is_negative() -> None:
    found = roi_match(boxes_of([[0, 0, 10, 5], [0, 0, 10, 4.9]]), TRUTH)
    assert found.positive.tolist() == [True, False]
    assert found.negative.tolist() == [False, True]


def test_rule_i_the_best_anchor_of_a_truth_is_positive_however_little_it_overlaps() -> None:
    # Overlaps 0.2 and 0.1: without rule (i) the truth would have no anchor at all.
    found = rpn_match(boxes_of([[0, 0, 10, 1], [0, 0, 10, 2]]), TRUTH)
    assert found.positive.tolist() == [False, True]
    assert found.negative.tolist() == [True, False]


def test_rule_i_takes_every_anchor_of_equal_overlap() -> None:
    found = rpn_match(boxes_of([[0, 0, 10, 2], [0, 8, 10, 10], [50, 50, 60, 60]]), TRUTH)
    assert found.positive.tolist() == [True, True, False]


def test_rule_i_can_be_left_out() -> None:
    assert roi_match(boxes_of([[0, 0, 10, 2]]), TRUTH).positive.tolist() == [False]


def test_an_anchor_is_trained_towards_the_truth_it_overlaps_most() -> None:
    truth = truth_of([[0, 0, 10, 10], [0, 0, 10, 4]])
    # 10 x 9: overlap 0.9 with the first, 4 / 9 = 0.44 with the second, of which it is the best anchor too.
    found = rpn_match(boxes_of([[0, 0, 10, 9], [50, 0, 60, 9]]), truth)
    assert found.truth.tolist()[0] == 0
    assert found.positive.tolist() == [True, False]


def test_without_truths_everything_is_negative() -> None:
    found = rpn_match(boxes_of([[0, 0, 1, 1], [0, 0, 2, 2]]), truth_of([]))
    assert found.negative.tolist() == [True, True]
    assert found.positive.tolist() == [False, False]
    assert found.overlap.tolist() == [0, 0]


@pytest.mark.parametrize("truth", [truth_of([]), TRUTH])
def test_no_references_give_empty_matches(truth: GroundTruth) -> None:
    for found in (rpn_match(boxes_of([]), truth), roi_match(boxes_of([]), truth)):
        assert found.truth.shape == found.overlap.shape == found.positive.shape == found.negative.shape == (0,)


def test_ignored_truths_match_nothing_and_make_references_half_inside_neutral() -> None:
    crowd = truth_of([[0, 0, 100, 100], [200, 0, 210, 10]], ignored=[True, False])
    references = boxes_of(
        [
            [0, 0, 100, 100],  # the region itself
            [10, 10, 20, 20],  # wholly inside; its overlap as IoU would be 0.01
            [90, 0, 110, 10],  # half inside
            [91, 0, 111, 10],  # 9 / 20 inside
            [200, 0, 210, 10],  # an object elsewhere
        ]
    )
    found = rpn_match(references, crowd)
    assert found.positive.tolist() == [False, False, False, False, True]
    assert found.negative.tolist() == [False, False, False, True, False]


def test_an_object_within_an_ignored_region_is_still_positive() -> None:
    found = rpn_match(boxes_of([[0, 0, 10, 10]]), truth_of([[0, 0, 100, 100], [0, 0, 10, 10]], ignored=[True, False]))
    assert found.positive.tolist() == [True]
    assert found.truth.tolist() == [1]


def test_only_ignored_truths_leave_the_rest_negative() -> None:
    found = rpn_match(boxes_of([[0, 0, 10, 10], [50, 50, 60, 60]]), truth_of([[0, 0, 10, 10]], ignored=[True]))
    assert found.positive.tolist() == [False, False]
    assert found.negative.tolist() == [False, True]


def test_references_that_are_not_eligible_are_neutral_and_never_the_best() -> None:
    # Overlaps 1.0, 0.2 and 0: the first would be positive by both rules, the third negative.
    references = boxes_of([[0, 0, 10, 10], [0, 0, 10, 2], [50, 50, 60, 60], [70, 70, 80, 80]])
    eligible = torch.tensor([False, True, False, True])
    found = match(references, TRUTH, positive_iou=0.7, negative_iou=0.3, best_of_truth=True, eligible=eligible)
    # Rule (i) now finds the second, the best of those that take part.
    assert found.positive.tolist() == [False, True, False, False]
    assert found.negative.tolist() == [False, False, False, True]


def test_nothing_eligible_makes_nothing_positive_or_negative() -> None:
    references, nobody = boxes_of([[0, 0, 10, 10], [50, 50, 60, 60]]), torch.tensor([False, False])
    for truth in (TRUTH, truth_of([])):
        found = match(references, truth, positive_iou=0.7, negative_iou=0.3, best_of_truth=True, eligible=nobody)
        assert not bool((found.positive | found.negative).any())


def test_background_begins_at_an_overlap_of_01() -> None:
    # Fast R-CNN, section 2.3: background has its largest overlap in [0.1, 0.5). Heights are tenths of the truth's.
    references = boxes_of([[0, 0, 10, height] for height in (5, 4.9, 1, 0.9)] + [[50, 50, 60, 60]])
    found = match(references, TRUTH, positive_iou=0.5, negative_iou=0.5, negative_iou_from=0.1, best_of_truth=False)
    assert found.positive.tolist() == [True, False, False, False, False]
    assert found.negative.tolist() == [False, True, True, False, False]


def test_without_truths_no_overlap_reaches_01() -> None:
    found = match(
        boxes_of([[0, 0, 1, 1]]),
        truth_of([]),
        positive_iou=0.5,
        negative_iou=0.5,
        negative_iou_from=0.1,
        best_of_truth=False,
    )
    assert not bool((found.positive | found.negative).any())


@settings(deadline=None, max_examples=80)
@given(integer_boxes(most=10), integer_boxes(most=5), st.integers(0, 31))
def test_match_equals_nested_loops(references: Tensor, boxes: Tensor, ignored_bits: int) -> None:
    ignored = [bool(ignored_bits >> index & 1) for index in range(len(boxes))]
    found = rpn_match(references, truth_of(boxes.tolist(), ignored=ignored))

    anchors, truths = references.tolist(), list(zip(boxes.tolist(), ignored, strict=True))
    table = [[0 if skip else overlap_of(anchor, truth) for truth, skip in truths] for anchor in anchors]
    best_of_truth = [max((row[g] for row in table), default=0) for g in range(len(truths))]
    for index, (anchor, row) in enumerate(zip(anchors, table, strict=True)):
        is_best = any(value > 0 and value == best for value, best in zip(row, best_of_truth, strict=True))
        hidden = any(skip and shared(anchor, truth) / size(anchor) >= 0.5 for truth, skip in truths)
        positive = max(row, default=0) >= 0.7 or is_best
        assert bool(found.positive[index]) == positive
        assert bool(found.negative[index]) == (max(row, default=0) < 0.3 and not positive and not hidden)


@settings(deadline=None, max_examples=60)
@given(integer_boxes(most=10), integer_boxes(least=1, most=5), st.integers(0, 1000))
def test_the_order_of_truths_does_not_matter(references: Tensor, boxes: Tensor, seed: int) -> None:
    shuffled = boxes[torch.randperm(len(boxes), generator=torch.Generator().manual_seed(seed))]
    one, other = (rpn_match(references, truth_of(rows.tolist())) for rows in (boxes, shuffled))
    assert torch.equal(one.positive, other.positive)
    assert torch.equal(one.negative, other.negative)
    assert torch.equal(one.overlap, other.overlap)


@pytest.mark.parametrize(
    ("positives", "negatives", "size", "fraction", "expected"),
    [
        (0, 0, 256, 0.5, (0, 0)),
        (300, 1000, 256, 0.5, (128, 128)),  # the paper: 256 anchors, 1:1
        (10, 1000, 256, 0.5, (10, 246)),  # few positives: negatives fill the rest
        (0, 1000, 256, 0.5, (0, 256)),
        (300, 20, 256, 0.5, (128, 20)),  # positives do not fill the rest
        (1000, 0, 256, 0.5, (128, 0)),
        (300, 1000, 512, 0.25, (128, 384)),  # second stage
        (3, 4, 256, 0.5, (3, 4)),  # fewer references than places
        (5, 5, 1, 0.5, (0, 1)),  # half of one place is none
    ],
)
def test_how_many_are_sampled(
    positives: int, negatives: int, size: int, fraction: float, expected: tuple[int, int]
) -> None:
    chosen = sample(matches_of(positives, negatives, neutrals=50), size=size, positive_fraction=fraction, seed=1)
    assert len(chosen.indices) == min(size, positives + negatives + 50)
    assert (int(chosen.positive.sum()), int((chosen.used & ~chosen.positive).sum())) == expected


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.sampled_from(("positive", "negative", "neutral")), max_size=40),
    st.integers(1, 30),
    st.sampled_from((0.25, 0.5, 1.0)),
    st.integers(0, 2**40),
)
def test_a_sample_is_of_positives_and_negatives_without_repetition(
    kinds: list[str], size: int, fraction: float, seed: int
) -> None:
    positive, negative = (
        torch.tensor([k == kind for k in kinds], dtype=torch.bool) for kind in ("positive", "negative")
    )
    matches = Matches(torch.zeros(len(kinds)).long(), torch.zeros(len(kinds)), positive, negative)
    chosen = sample(matches, size=size, positive_fraction=fraction, seed=seed)
    again = sample(matches, size=size, positive_fraction=fraction, seed=seed)
    assert torch.equal(chosen.indices, again.indices)
    assert len(set(chosen.indices.tolist())) == len(chosen.indices) == min(size, len(kinds))
    assert bool(positive[chosen.indices[chosen.positive]].all())
    assert bool(negative[chosen.indices[chosen.used & ~chosen.positive]].all())
    wanted = min(int(size * fraction), int(positive.sum()))
    assert int(chosen.positive.sum()) == wanted
    assert int(chosen.used.sum()) == wanted + min(size - wanted, int(negative.sum()))
    assert not bool((chosen.positive & ~chosen.used).any())


def test_seeds_choose_differently_and_evenly() -> None:
    times = torch.zeros(20)
    for seed in range(400):
        chosen = sample(matches_of(10, 10), size=10, positive_fraction=0.5, seed=seed)
        times[chosen.indices[chosen.used]] += 1
    # Each is chosen with chance 1/2: 200 times, standard deviation sqrt(400 / 4) = 10; five of those either way.
    assert bool(((times > 150) & (times < 250)).all()), times.tolist()


def test_a_comparison_by_hand() -> None:
    # References: the left half, the right half, and a place far away; truths: the whole, ignored, and its right half.
    references = boxes_of([[0, 0, 5, 10], [5, 0, 10, 10], [50, 0, 60, 10]])
    truth = truth_of([[0, 0, 10, 10], [5, 0, 10, 10]], ignored=[True, False])
    found = compare_all(references, truth, None)
    assert found.iou.tolist() == [0, 1, 0]  # the ignored truth does not count
    assert found.truth.tolist() == [0, 1, 0]
    assert found.is_best.tolist() == [False, True, False]
    assert found.in_ignored.tolist() == [True, True, False]  # wholly inside: IoA 1
    without = compare_all(references, truth, torch.tensor([True, False, True]))
    assert (without.iou.tolist(), without.is_best.tolist()) == ([0, 0, 0], [False] * 3)
