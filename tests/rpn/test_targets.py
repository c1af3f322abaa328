"""What the first stage is told about its anchors."""

from __future__ import annotations

import math

import torch
from torch.testing import assert_close

from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from tiny import anchors_of, truth_of

RULE = AnchorSampling(positive_iou=0.7, negative_iou=0.3, samples=256, positive_fraction=0.5)
# One anchor on the truth (overlap 0.9), one neutral (0.5), two far away; on two levels.
ANCHORS = anchors_of([[0, 0, 10, 9], [0, 0, 10, 5], [50, 50, 60, 60]], [[80, 0, 120, 40]])
TRUTH = truth_of([[0, 0, 10, 10]], labels=[2])


def test_positive_negative_neutral_and_the_deltas_of_the_positive() -> None:
    targets = rpn_targets(ANCHORS, TRUTH, RULE, seed=0)
    assert len(targets.indices) == 4
    assert targets.indices[targets.positive].tolist() == [0]
    assert sorted(targets.indices[targets.used & ~targets.positive].tolist()) == [2, 3]
    assert targets.indices[~targets.used].tolist() == [1]
    # Centre from 4.5 to 5 of height 9: dy = 0.5 / 9; height 9 to 10: dh = log(10 / 9).
    assert_close(targets.deltas[targets.positive], torch.tensor([[0.0, 0.5 / 9, 0.0, math.log(10 / 9)]]))


def test_the_best_anchor_of_a_truth_is_positive_however_little_it_overlaps() -> None:
    # Rule (i): the anchor at (80, 0, 120, 40) overlaps (100, 20, 110, 30) by 100 / 1600, below 0.3; no other does.
    targets = rpn_targets(ANCHORS, truth_of([[100, 20, 110, 30]]), RULE, seed=0)
    assert targets.indices[targets.positive].tolist() == [3]


def test_deltas_lead_to_the_truth_that_the_anchor_overlaps_most() -> None:
    truth = truth_of([[80, 0, 120, 40], [0, 0, 10, 9]])
    targets = rpn_targets(ANCHORS, truth, RULE, seed=0)
    assert sorted(targets.indices[targets.positive].tolist()) == [0, 3]
    assert_close(targets.deltas[targets.positive], torch.zeros(2, 4))


def test_an_image_without_truths_has_negatives_only() -> None:
    targets = rpn_targets(ANCHORS, truth_of([]), RULE, seed=0)
    assert not bool(targets.positive.any())
    assert bool(targets.used.all())
    assert targets.deltas.shape == (4, 4)


def test_without_anchors_there_is_nothing_to_sample() -> None:
    targets = rpn_targets(anchors_of(), TRUTH, RULE, seed=0)
    assert targets.indices.shape == targets.positive.shape == targets.used.shape == (0,)
    assert targets.deltas.shape == (0, 4)


def test_the_sample_is_a_function_of_the_seed() -> None:
    many = anchors_of([[x, 0, x + 5, 5] for x in range(100, 400)])
    rule = AnchorSampling(0.7, 0.3, samples=20, positive_fraction=0.5)
    first, again, other = (rpn_targets(many, TRUTH, rule, seed).indices.tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other
