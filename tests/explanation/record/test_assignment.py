from __future__ import annotations

import torch
from torch.testing import assert_close

from explained_images import tiny_explained
from faster_rcnn.explanation.record.assignment import assigned_anchors, sampled_anchors, truth_in_part
from faster_rcnn.explanation.record.recording import PartRecording
from faster_rcnn.images import rescale_truth
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.rpn.targets import rpn_targets
from tiny import truth_of

TRUTH = truth_of([[8.0, 12.0, 60.0, 70.0], [70.0, 20.0, 120.0, 90.0]], [0, 1])


def _sampled_by_training(part: PartRecording, seed: int) -> object:
    assert part.first is not None
    truth = rescale_truth(TRUTH, part.size, part.resized)
    return rpn_targets(part.first.anchors, truth, part.network.rpn.sampling, seed, part.resized)


def test_the_sample_is_the_one_that_training_draws() -> None:
    part = tiny_explained(TRUTH).recording.whole
    assert part.first is not None
    for seed in (0, 7):
        found, expected = sampled_anchors(part, part.first, TRUTH, seed), _sampled_by_training(part, seed)
        for name in ("indices", "positive", "used", "deltas"):
            assert torch.equal(getattr(found, name), getattr(expected, name))
    assert not torch.equal(
        sampled_anchors(part, part.first, TRUTH, 0).indices, sampled_anchors(part, part.first, TRUTH, 7).indices
    )


def test_sampled_positives_are_assigned_positive_and_all_others_negative() -> None:
    part = tiny_explained(TRUTH).recording.whole
    assert part.first is not None
    matches, chosen = assigned_anchors(part, part.first, TRUTH), sampled_anchors(part, part.first, TRUTH)
    assert bool(matches.positive[chosen.indices[chosen.positive]].all())
    assert bool(matches.negative[chosen.indices[chosen.used & ~chosen.positive]].all())


def test_without_objects_every_anchor_is_negative() -> None:
    part = tiny_explained(truth_of([])).recording.whole
    assert part.first is not None
    matches = assigned_anchors(part, part.first, truth_of([]))
    assert bool(matches.negative.all())
    assert not bool(matches.positive.any())


def test_a_tile_has_the_truths_of_which_half_lies_in_it_cut_at_its_border() -> None:
    # Tiles of 100 x 100 pixels begin at x = 0, 80, 100, the last one at its full size. The resized side is 64.
    truth = truth_of([[90.0, 0.0, 106.0, 50.0], [110.0, 10.0, 190.0, 60.0]], [0, 2])
    recording = tiny_explained(truth, size=(100, 200), tiling=Tiling(100, 0.2)).recording
    assert [part.place.x1 for part in recording.parts] == [0, 0, 80, 100]
    first, last = recording.parts[1], recording.parts[3]
    # 10 of the first truth's 16 columns lie in the first tile: cut at x = 100. 0.64 pixels of the tile are one pixel.
    cut = truth_in_part(first, truth)
    assert cut.labels.tolist() == [0]
    assert_close(cut.boxes, torch.tensor([[90 * 0.64, 0.0, 64.0, 50 * 0.64]]))
    # 6 of its 16 columns lie in the last tile, less than half.
    assert truth_in_part(last, truth).labels.tolist() == [2]
    assert_close(truth_in_part(last, truth).boxes, torch.tensor([[10 * 0.64, 10 * 0.64, 90 * 0.64, 60 * 0.64]]))
