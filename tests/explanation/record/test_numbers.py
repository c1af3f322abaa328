from __future__ import annotations

from typing import Any

import pytest
import torch

from explained_images import tiny_explained
from faster_rcnn.explanation.record.assignment import assigned_anchors
from faster_rcnn.explanation.record.numbers import (
    assignment_numbers,
    histogram_of,
    image_numbers,
    level_numbers,
    level_of_anchor,
    objectness_numbers,
    proposal_numbers,
    region_numbers,
    sample_numbers,
)
from faster_rcnn.ops.boxes import iou
from faster_rcnn.ops.roi_align import roi_align
from faster_rcnn.structures import ImageSize
from tiny import truth_of

TRUTH = truth_of([[8.0, 12.0, 60.0, 70.0], [70.0, 20.0, 120.0, 90.0]], [0, 1])
ONE_LEVEL: dict[str, Any] = {
    "backbone": {"levels": (4,), "neck": "none"},
    "rpn": {"anchor_sizes": ((16.0, 32.0),), "proposals_after_nms": 50},
}


def test_sizes_of_the_image_on_its_way_into_the_backbone() -> None:
    # The short side of 96 becomes 64, the long one 128 * 64 / 96 = 85.3; both are padded to multiples of 32.
    numbers = image_numbers(tiny_explained().recording.whole)
    assert numbers.size == ImageSize(96, 128)
    assert numbers.resized == ImageSize(64, 85)
    assert numbers.padded == ImageSize(64, 96)
    assert numbers.factor == 85 / 128


def test_levels_of_a_pyramid() -> None:
    levels = level_numbers(tiny_explained().recording.whole)
    assert [level.name for level in levels] == ["P2", "P3", "P4", "P5", "P6"]
    # 64 x 96 pixels at strides of 4 to 32, then every second feature; three ratios at each position.
    assert [(level.rows, level.columns) for level in levels] == [(16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    assert [level.anchors for level in levels] == [3 * 384, 3 * 96, 3 * 24, 3 * 6, 3 * 2]
    assert {level.per_position for level in levels} == {3}
    assert {level.channels for level in levels} == {16}


def test_one_level_and_external_proposals() -> None:
    [level] = level_numbers(tiny_explained(**ONE_LEVEL).recording.whole)
    assert (level.name, level.stride, level.per_position) == ("C5", 32, 6)
    assert {each.anchors for each in level_numbers(tiny_explained(kind="fast-rcnn").recording.whole)} == {0}


def test_the_level_of_an_anchor() -> None:
    first = tiny_explained().recording.whole.first
    assert first is not None
    assert [level_of_anchor(first, anchor) for anchor in (0, 1151, 1152, 1439, 1440, 1535)] == [0, 0, 1, 1, 2, 4]


def test_anchors_are_counted_as_the_rule_of_the_paper_counts_them() -> None:
    part = tiny_explained(TRUTH).recording.whole
    assert part.first is not None
    numbers = assignment_numbers(part, part.first, TRUTH)
    ious = iou(part.first.anchors.boxes, part.in_part(TRUTH.boxes))  # (A, T)
    best = ious.amax(dim=1)
    positive = (best >= 0.7) | (ious == ious.amax(dim=0)).any(dim=1)
    negative = (best < 0.3) & ~positive
    assert (numbers.positive, numbers.negative) == (int(positive.sum()), int(negative.sum()))
    assert numbers.positive + numbers.negative + numbers.neutral == len(best) == sum(numbers.histogram)
    assert numbers.positives_below == int((positive & (best < 0.7)).sum()) > 0
    assert sum(numbers.histogram[14:]) == int((best >= 0.7).sum())


def test_anchors_that_cross_the_border_are_neutral_where_training_leaves_them_out() -> None:
    rpn = {"crossing_anchors": "ignore", "anchor_sizes": ((8.0,), (16.0,), (32.0,), (64.0,), (128.0,))}
    part, plain = tiny_explained(TRUTH, rpn=rpn).recording.whole, tiny_explained(TRUTH).recording.whole
    assert part.first is not None
    assert plain.first is not None
    numbers = assignment_numbers(part, part.first, TRUTH)
    x1, y1, x2, y2 = part.first.anchors.boxes.unbind(dim=1)
    crossing = (x1 < 0) | (y1 < 0) | (x2 > 85) | (y2 > 64)
    assert numbers.crossing == int(crossing.sum()) > 0
    assert numbers.neutral >= numbers.crossing
    assert numbers.positive + numbers.negative <= int((~crossing).sum())
    assert assignment_numbers(plain, plain.first, TRUTH).crossing == 0


def test_a_histogram_of_ious() -> None:
    counts = histogram_of(torch.tensor([0.0, 0.04, 0.05, 0.3, 0.7, 0.99, 1.0]))
    assert {place: count for place, count in enumerate(counts) if count} == {0: 2, 1: 1, 6: 1, 14: 1, 19: 2}


def test_the_mini_batch() -> None:
    part = tiny_explained(TRUTH).recording.whole
    assert part.first is not None
    numbers, matches = sample_numbers(part, part.first, TRUTH), assigned_anchors(part, part.first, TRUTH)
    assert (numbers.size, numbers.max_positive) == (256, 128)
    assert numbers.positive == min(128, int(matches.positive.sum()))
    assert numbers.negative == 256 - numbers.positive
    assert numbers.unused == 0


def test_objectness_of_the_levels() -> None:
    part = tiny_explained().recording.whole
    assert part.first is not None
    scores = part.first.output.logits[0, :, 0].sigmoid()
    numbers = objectness_numbers(part, part.first)
    assert max(level.best for level in numbers) == float(scores.max())
    assert sum(level.above_half for level in numbers) == int((scores > 0.5).sum())
    assert numbers[1].mean == pytest.approx(float(scores[1152:1440].mean()))


def test_the_steps_of_the_filter_add_up() -> None:
    explained = tiny_explained(rpn={"proposals_before_nms": 200, "proposals_after_nms": 50})
    anchors = explained.fates[0].anchors
    assert anchors is not None
    numbers = proposal_numbers(anchors)
    # 200 of each of the two finest levels, of 1152 and 288 anchors; 72, 18 and 6 of the others.
    assert (numbers.anchors, numbers.candidates) == (1536, 200 + 200 + 72 + 18 + 6)
    assert numbers.candidates == numbers.too_small + numbers.suppressed + numbers.survived
    assert numbers.kept == len(explained.recording.whole.proposals.scores) == min(50, numbers.survived)


def test_a_region_is_read_from_the_level_that_pooling_reads() -> None:
    part = tiny_explained().recording.whole
    assert part.second is not None
    for proposal in (0, 10, 49):
        region, box = region_numbers(part, proposal), part.proposals.boxes[proposal]
        rois = torch.cat((torch.zeros(1), box))[None]
        pooled = roi_align(part.features[region.level], rois, stride=region.stride, side=7, sampling_ratio=2)
        torch.testing.assert_close(pooled[0], part.second.pooled[proposal], rtol=1e-4, atol=1e-5)
        assert region.box == tuple((box / region.stride).tolist())


def test_a_first_stage_alone_pools_nothing() -> None:
    with pytest.raises(ValueError, match="pools no regions"):
        region_numbers(tiny_explained(kind="rpn").recording.whole, 0)
