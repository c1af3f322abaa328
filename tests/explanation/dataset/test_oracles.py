from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.explanation.dataset.oracles import oracle_detections, truths_as_detections
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import Detections, GroundTruth
from files import rgb
from made_surveys import tiny_detector
from tiny import truth_of

TRUTH = truth_of([[5, 5, 35, 25], [36, 18, 44, 32], [16, 8, 24, 22]], [1, 1, 2])
"""No region of the tiny detector lies on the first truth; one or more lie on each of the others."""


def recorded(truth: GroundTruth = TRUTH, tiling: Tiling | None = None) -> Recording:
    return record(Predictor(tiny_detector(), tiling=tiling), rgb(), 0.0, truth)


def test_true_proposals_give_what_the_second_stage_makes_of_the_truths() -> None:
    recording = recorded()
    part, network = recording.whole, recording.whole.network
    boxes = part.in_part(TRUTH.boxes)
    with torch.no_grad():
        logits = network.roi(list(part.features), [boxes]).logits
    expected = logits.softmax(dim=1)[:, :-1]  # (3, classes)
    found = oracle_detections(recording, TRUTH, 0.5).proposals
    assert len(found)
    assert_close(found.scores, expected[found.proposals, found.labels])


def test_true_classes_give_only_detections_of_the_truths_classes() -> None:
    """Every region is on a truth or gives nothing, whatever the second stage made of it."""
    recording = recorded()
    found = oracle_detections(recording, TRUTH, 0.5).classes
    assert set(found.labels.tolist()) == {1, 2}
    assert set(recording.detections.labels.tolist()) == {0, 1, 2}
    regions = recording.whole.in_image(recording.whole.proposals.boxes)
    assert found.proposals is not None
    for place, label in zip(found.proposals.tolist(), found.labels.tolist(), strict=True):
        own = TRUTH.boxes[TRUTH.labels == label]
        before = float(iou(regions[place : place + 1], own).max())
        row = found.proposals.tolist().index(place)
        after = float(iou(found.boxes[row : row + 1], own).max())
        assert max(before, after) >= 0.5 - 1e-5


def test_a_truth_on_which_no_region_lies_is_not_found_by_true_classes() -> None:
    truth = truth_of([[0.0, 0.0, 1.0, 1.0]], [0])
    assert len(oracle_detections(recorded(truth), truth, 0.9).classes) == 0


def test_everything_together_is_the_truth_up_to_the_limit_of_detections() -> None:
    found = oracle_detections(recorded(), TRUTH, 0.5).everything
    assert_close(found.boxes, TRUTH.boxes)
    assert found.labels.tolist() == [1, 1, 2]
    predictor = Predictor(tiny_detector(roi={"max_detections": 1}))
    assert len(oracle_detections(record(predictor, rgb(), 0.0, TRUTH), TRUTH, 0.5).everything) == 1


def test_ignored_truths_are_no_certain_detections() -> None:
    truth = truth_of([[5, 5, 35, 25], [30, 10, 55, 38]], [1, 2], [True, False])
    assert truths_as_detections(truth).labels.tolist() == [2]


def test_without_truth_nothing_is_found() -> None:
    empty = truth_of([])
    found = oracle_detections(recorded(empty), empty, 0.5)
    assert [len(each) for each in (found.proposals, found.classes, found.everything)] == [0, 0, 0]


def test_tiles_show_the_truths_that_lie_in_them() -> None:
    """The whole image is 60 x 40 pixels; a truth is a proposal of every tile that shows half of it."""
    recording = recorded(tiling=Tiling(30, 0.2))
    assert len(recording.parts) > 1
    found = oracle_detections(recording, TRUTH, 0.5)
    assert found.proposals.parts is not None
    assert bool((found.proposals.boxes[:, 2:] <= torch.tensor([60.0, 40.0])).all())
    assert_close(found.everything.boxes, TRUTH.boxes)


@pytest.mark.parametrize("name", ["proposals", "classes", "everything"])
def test_oracles_are_ordinary_tensors_in_pixels_of_the_image(name: str) -> None:
    found: Detections = getattr(oracle_detections(recorded(), TRUTH, 0.5), name)
    assert not found.boxes.is_inference()
    assert float(found.boxes.max()) <= 60
