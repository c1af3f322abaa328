"""The targets of the first stage: which anchors are sampled, and their deltas."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch.testing import assert_close

from faster_rcnn.rpn.targets import AnchorSampling, rpn_targets
from faster_rcnn.structures import ImageSize
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


def test_anchors_that_cross_the_border_of_the_image_can_be_left_out() -> None:
    # Section 3.3. In an image of 100 x 40: the first touches the border and stays, the others cross one side each.
    crossing = [[-1, 0, 9, 10], [0, -1, 10, 9], [91, 0, 101, 10], [0, 31, 10, 41]]
    anchors = anchors_of([[0, 0, 10, 10], [90, 30, 100, 40], *crossing])
    truth = truth_of([[0, 0, 10, 9], [92, 0, 100, 10]])
    size = ImageSize(height=40, width=100)
    trained = rpn_targets(anchors, truth, RULE, 0, size)
    ignored = rpn_targets(anchors, truth, replace(RULE, ignore_crossing=True), 0, size)
    assert int(trained.used.sum()) == 6
    assert sorted(ignored.indices[ignored.used].tolist()) == [0, 1]
    # The best anchor of the second truth, (91, 0, 101, 10) at 0.8, crosses: that truth has none.
    assert sorted(trained.indices[trained.positive].tolist()) == [0, 2, 3, 4]
    assert ignored.indices[ignored.positive].tolist() == [0]


def test_the_border_is_that_of_the_image_inside_its_padding() -> None:
    rule = replace(RULE, ignore_crossing=True)
    used = [
        int(rpn_targets(ANCHORS, TRUTH, rule, 0, size).used.sum()) for size in (ImageSize(64, 128), ImageSize(64, 100))
    ]
    assert used == [3, 2]  # the anchor (80, 0, 120, 40) reaches into the padding of the narrower image


def test_an_image_smaller_than_every_anchor_has_nothing_to_train_on() -> None:
    targets = rpn_targets(ANCHORS, TRUTH, replace(RULE, ignore_crossing=True), 0, ImageSize(4, 4))
    assert not bool((targets.used | targets.positive).any())


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
