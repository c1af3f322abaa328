"""The targets of the second stage: sampled regions, their classes and deltas (Fast R-CNN, section 2.3)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.roi.targets import RegionSampling, roi_targets
from faster_rcnn.structures import GroundTruth, Proposals, RoiTargets
from tiny import boxes_of, truth_of

RULE = RegionSampling(0.5, 0.5, samples=64, positive_fraction=0.5, delta_weights=(10.0, 10.0, 5.0, 5.0))
BACKGROUND = 7
TRUTH = truth_of([[0, 0, 10, 10], [50, 0, 60, 10]], labels=[3, 5])


def targets_of(
    boxes: Sequence[Sequence[float]], truth: GroundTruth, rule: RegionSampling = RULE, seed: int = 0
) -> RoiTargets:
    proposals = Proposals(boxes_of(boxes), torch.zeros(len(boxes)))
    return roi_targets(proposals, truth, rule, BACKGROUND, seed)


def row_of(targets: RoiTargets, box: Sequence[float]) -> Tensor:
    """Where a box stands in the sample."""
    return torch.nonzero((targets.boxes == torch.tensor(box, dtype=torch.float32)).all(dim=1))[0, 0]


def test_labels_are_those_of_the_best_truth_or_background() -> None:
    near, half, far = [0, 0, 10, 8], [50, 0, 60, 4.9], [80, 80, 90, 90]
    targets = targets_of([near, half, far], TRUTH)
    assert [int(targets.labels[row_of(targets, box)]) for box in (near, half, far)] == [3, BACKGROUND, BACKGROUND]
    assert targets.positive.tolist() == (targets.labels != BACKGROUND).tolist()
    assert bool(targets.used.all())


def test_the_truths_join_the_proposals() -> None:
    targets = targets_of([], TRUTH)
    assert_close(targets.boxes.sort(dim=0).values, TRUTH.boxes)
    assert sorted(targets.labels.tolist()) == [3, 5]
    assert_close(targets.deltas, torch.zeros(2, 4))


def test_deltas_are_weighted() -> None:
    targets = targets_of([[0, 0, 10, 8]], TRUTH)
    # Centre from 4 to 5 of height 8: 10 * 1 / 8; height 8 to 10: 5 * log(10 / 8).
    expected = torch.tensor([0.0, 1.25, 0.0, 5 * math.log(1.25)])
    assert_close(targets.deltas[row_of(targets, [0, 0, 10, 8])], expected)


def test_rule_i_does_not_hold_here() -> None:
    # A proposal that overlaps a truth by 0.3 is background, even as its best, for the truth itself is a region too.
    targets = targets_of([[0, 0, 10, 3]], TRUTH)
    assert int(targets.labels[row_of(targets, [0, 0, 10, 3])]) == BACKGROUND


def test_a_quarter_positive() -> None:
    crowd = [[0, 0, 10, 10]] * 100 + [[80, 80, 90, 90]] * 100
    rule = RegionSampling(0.5, 0.5, samples=64, positive_fraction=0.25, delta_weights=RULE.delta_weights)
    targets = targets_of(crowd, TRUTH, rule)
    assert (len(targets.boxes), int(targets.positive.sum())) == (64, 16)


def test_regions_less_similar_than_01_are_not_trained_on() -> None:
    # Fast R-CNN, section 2.3: overlaps with the truth are 0.8, 0.4, 0.1 and 0.05; then one far away.
    boxes = [[0, 0, 10, height] for height in (8, 4, 1, 0.5)] + [[80, 80, 90, 90]]
    targets = targets_of(boxes, truth_of([[0, 0, 10, 10]], labels=[3]), replace(RULE, negative_iou_from=0.1))
    used = {tuple(box): int(label) for box, label in zip(targets.boxes.tolist(), targets.labels, strict=True)}
    for box in targets.boxes[~targets.used].tolist():
        del used[tuple(box)]
    assert used == {(0, 0, 10, 10): 3, (0, 0, 10, 8): 3, (0, 0, 10, 4): BACKGROUND, (0, 0, 10, 1): BACKGROUND}


def test_neither_ignored_regions_nor_what_lies_inside_them_are_used() -> None:
    truth = truth_of([[0, 0, 10, 10], [40, 40, 80, 80]], labels=[3, 5], ignored=[False, True])
    targets = targets_of([[45, 45, 55, 55]], truth)
    used = targets.boxes[targets.used]
    assert_close(used, boxes_of([[0, 0, 10, 10]]))
    assert 5 not in targets.labels.tolist()


def test_no_truths_make_everything_background() -> None:
    targets = targets_of([[0, 0, 10, 8]], truth_of([]))
    assert targets.labels.tolist() == [BACKGROUND]
    assert not bool(targets.positive.any())
    assert_close(targets.deltas, torch.zeros(1, 4))


def test_neither_truths_nor_proposals() -> None:
    targets = targets_of([], truth_of([]))
    assert (targets.boxes.shape, targets.deltas.shape) == ((0, 4), (0, 4))
    assert targets.labels.shape == targets.positive.shape == targets.used.shape == (0,)


def test_the_sample_is_a_function_of_the_seed() -> None:
    many = [[x, 20, x + 5, 25] for x in range(300)]
    first, again, other = (targets_of(many, TRUTH, seed=seed).boxes for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
