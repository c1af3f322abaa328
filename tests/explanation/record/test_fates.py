"""The fate of every candidate, on built cases and as properties of the passes of tiny detectors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import sigmoid

from faster_rcnn.explanation.record.fates import (
    NOBODY,
    AnchorFates,
    Fate,
    RegionFates,
    anchor_fates,
    anchor_scores,
    region_fates,
)
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.explanation.record.recording import PartRecording
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.ops.boxes import iou
from faster_rcnn.ops.deltas import decode
from files import loaded_model
from made_recordings import Way, made_recording
from tiny import random_image

TRUTH = (20.0, 20.0, 40.0, 40.0)
NEIGHBOUR = (20.0, 20.0, 40.0, 41.0)
FAR = (60.0, 50.0, 80.0, 70.0)
TINY = (1.0, 1.0, 3.0, 3.0)


def of_anchors(part: PartRecording) -> AnchorFates:
    assert part.first is not None
    return anchor_fates(part, part.first)


def of_regions(part: PartRecording) -> RegionFates:
    assert part.second is not None
    return region_fates(part, part.second)


def test_scores_are_those_of_the_fates() -> None:
    part = made_recording([Way(TRUTH, objectness=0.9), Way(FAR, objectness=0.6)]).whole
    assert part.first is not None
    scores, fates = anchor_scores(part, part.first), of_anchors(part)
    for name in ("objectness", "boxes", "levels", "ranks"):
        assert torch.equal(getattr(scores, name), getattr(fates, name))


def test_each_anchor_ends_at_its_own_step() -> None:
    ways = [
        Way(TRUTH, objectness=0.9),
        Way(NEIGHBOUR, objectness=0.8),  # a duplicate of the first
        Way(TINY, objectness=0.7),  # 4 pixels after resizing
        Way(FAR, objectness=0.6),
        Way((1.0, 50.0, 21.0, 70.0), objectness=0.5),  # survives, as the third of two
        Way((50.0, 1.0, 70.0, 21.0), objectness=0.1),  # below the floor
        Way((80.0, 1.0, 95.0, 21.0), objectness=0.05),  # the seventh of six
    ]
    limits = {"proposals_before_nms": 6, "proposals_after_nms": 2, "min_side": 5.0, "score_floor": 0.2}
    fates = of_anchors(made_recording(ways, rpn=limits).whole)
    expected = [
        Fate.KEPT,
        Fate.SUPPRESSED,
        Fate.TOO_SMALL,
        Fate.KEPT,
        Fate.BEYOND_LIMIT,
        Fate.BELOW_CUT,
        Fate.BELOW_CUT,
    ]
    assert [Fate(fate) for fate in fates.fates.tolist()] == expected
    assert fates.suppressors.tolist() == [NOBODY, 0, *[NOBODY] * 5]
    assert fates.surviving_ranks.tolist() == [1, 0, 0, 2, 3, 0, 0]
    assert fates.ranks.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert fates.objectness.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5, 0.1, 0.05])


def test_each_pair_of_a_region_and_a_class_ends_at_its_own_step() -> None:
    ways = [
        Way(TRUTH, objectness=0.9, scores=(0.8, 0.15, 0.01)),
        Way(FAR, objectness=0.8, scores=(0.3, 0.6, 0.01)),
        Way(TRUTH, objectness=0.7, scores=(0.7, 0.01, 0.01), box=NEIGHBOUR),
        Way(TINY, objectness=0.6, scores=(0.01, 0.01, 0.9)),
    ]
    part = made_recording(ways, rpn={"nms_iou": 1.0}, roi={"min_side": 5.0, "max_detections": 2}).whole
    fates = of_regions(part)
    below, kept, beyond = int(Fate.BELOW_CUT), int(Fate.KEPT), int(Fate.BEYOND_LIMIT)
    assert fates.fates.tolist() == [
        [kept, beyond, below],
        [beyond, kept, below],
        [int(Fate.SUPPRESSED), below, below],
        [below, below, int(Fate.TOO_SMALL)],
    ]
    assert fates.suppressors[2, 0] == 0  # proposal 0 as class 0
    assert int((fates.suppressors != NOBODY).sum()) == 1
    assert fates.surviving_ranks.tolist() == [[1, 4, 0], [3, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert fates.probabilities[0].tolist() == pytest.approx([0.8, 0.15, 0.01, 0.04], abs=1e-6)
    torch.testing.assert_close(part.in_image(fates.boxes[2, 1]), torch.tensor(NEIGHBOUR), atol=1e-3, rtol=0)


def test_the_second_survivor_may_suppress_what_the_first_spares() -> None:
    """IoUs on a line of boxes 20 wide: 10 shared of 30 for neighbours, nothing for the others."""
    boxes = [(0.0, 0.0, 20.0, 20.0), (30.0, 0.0, 50.0, 20.0), (20.0, 0.0, 40.0, 20.0)]
    ways = [Way(box, objectness=0.9 - 0.1 * place) for place, box in enumerate(boxes)]
    fates = of_anchors(made_recording(ways, rpn={"nms_iou": 0.3}).whole)
    assert fates.suppressors.tolist() == [NOBODY, NOBODY, 1]


ROI_NMS = 0.2


@pytest.fixture(scope="module", params=["logit", "softmax"], ids=["one logit", "two logits"])
def part(request: pytest.FixtureRequest) -> PartRecording:
    """A pass of a tiny detector that every limit of both filters cuts."""
    rpn: dict[str, Any] = {"proposals_before_nms": 80, "proposals_after_nms": 40, "min_side": 6.0, "nms_iou": 0.5}
    roi = {"score_floor": 0.15, "min_side": 8.0, "max_detections": 12, "nms_iou": ROI_NMS}
    loaded = loaded_model(rpn={**rpn, "objectness": request.param}, roi=roi)
    return record(Predictor(prepare(loaded, torch.device("cpu"), torch.float32)), random_image(90, 120), 0.0).whole


def test_anchors_that_were_kept_are_those_of_the_proposals(part: PartRecording) -> None:
    fates, anchors = of_anchors(part), part.proposals.anchors
    assert anchors is not None
    assert part.first is not None
    assert set(torch.nonzero(fates.fates == Fate.KEPT)[:, 0].tolist()) == set(anchors.tolist())
    # The first survivors, in their order, are the proposals of the pass.
    assert torch.equal(fates.surviving_ranks[anchors], torch.arange(1, len(anchors) + 1))
    torch.testing.assert_close(fates.boxes[anchors], part.proposals.boxes, rtol=0, atol=1e-4)
    assert torch.equal(fates.objectness[anchors], part.proposals.scores)
    expected = {Fate.BELOW_CUT, Fate.TOO_SMALL, Fate.SUPPRESSED, Fate.BEYOND_LIMIT, Fate.KEPT}
    assert {Fate(each) for each in fates.fates.unique().tolist()} == expected


def test_every_suppressed_proposal_has_a_better_scored_survivor_over_it(part: PartRecording) -> None:
    fates = of_anchors(part)
    suppressed = torch.nonzero(fates.fates == Fate.SUPPRESSED)[:, 0]
    others = fates.suppressors[suppressed]
    assert len(suppressed) > 5
    assert bool((fates.surviving_ranks[others] > 0).all())
    assert torch.equal(fates.levels[others], fates.levels[suppressed])
    assert bool((fates.ranks[others] < fates.ranks[suppressed]).all())
    assert bool((iou(fates.boxes[suppressed], fates.boxes[others]).diagonal() > 0.5).all())
    assert bool((fates.suppressors[fates.fates != Fate.SUPPRESSED] == NOBODY).all())


def test_ranks_count_better_anchors_of_the_same_level(part: PartRecording) -> None:
    fates = of_anchors(part)
    assert part.first is not None
    logits = part.first.output.logits[0]
    difference = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(fates.objectness, sigmoid(difference))
    start = 0
    for level, count in enumerate(part.first.anchors.per_level):
        own = slice(start, start + count)
        assert bool((fates.levels[own] == level).all())
        order = difference[own].argsort(descending=True, stable=True)
        assert fates.ranks[own][order].tolist() == list(range(1, count + 1))
        start += count
    cut = (fates.ranks <= 80) & (fates.fates == Fate.BELOW_CUT)
    assert not bool(cut.any())  # without a floor, the cut alone decides


def test_pairs_that_were_kept_are_the_detections(part: PartRecording) -> None:
    fates, found = of_regions(part), part.detections
    assert found.proposals is not None
    pairs = set(zip(found.proposals.tolist(), found.labels.tolist(), strict=True))
    assert {(p, c) for p, c in torch.nonzero(fates.fates == Fate.KEPT).tolist()} == pairs
    ranks = fates.surviving_ranks[found.proposals, found.labels]
    assert torch.equal(ranks, torch.arange(1, len(found) + 1))
    assert torch.equal(fates.probabilities[found.proposals, found.labels], found.scores)
    torch.testing.assert_close(fates.boxes[found.proposals, found.labels], found.boxes, rtol=0, atol=1e-4)
    torch.testing.assert_close(fates.probabilities.sum(dim=1), torch.ones(len(fates.probabilities)))
    assert len(fates.fates.unique()) == len(Fate)


def test_every_suppressed_pair_has_a_better_scored_survivor_of_its_class_over_it(part: PartRecording) -> None:
    fates = of_regions(part)
    classes = fates.boxes.shape[1]
    rows = torch.nonzero(fates.fates == Fate.SUPPRESSED)
    assert len(rows) > 5
    for proposal, label in rows.tolist():
        other, other_label = divmod(int(fates.suppressors[proposal, label]), classes)
        assert other_label == label
        assert fates.surviving_ranks[other, label] > 0
        assert fates.probabilities[other, label] >= fates.probabilities[proposal, label]
        pair = fates.boxes[[proposal, other], label].double()
        assert float(iou(pair[:1], pair[1:])) > ROI_NMS
    assert bool((fates.suppressors[fates.fates != Fate.SUPPRESSED] == NOBODY).all())


def test_boxes_are_decoded_for_every_class(part: PartRecording) -> None:
    fates = of_regions(part)
    assert part.second is not None
    deltas, weights = part.second.output.deltas, part.second.rule.delta_weights
    for label in range(deltas.shape[1]):
        boxes = decode(deltas[:, label], part.proposals.boxes, weights)
        inside = (boxes[:, :2] >= 0).all(1) & (boxes[:, 2] <= part.resized.width) & (boxes[:, 3] <= part.resized.height)
        torch.testing.assert_close(fates.boxes[inside, label], boxes[inside], rtol=0, atol=1e-4)


def test_nothing_has_no_fate() -> None:
    part = made_recording([Way(TRUTH)], rpn={"min_side": 99.0}).whole
    fates = of_regions(part)
    assert fates.fates.shape == (0, 3)
    assert fates.boxes.shape == (0, 3, 4)
    assert of_anchors(part).fates.tolist() == [Fate.TOO_SMALL]
