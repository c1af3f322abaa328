"""From class scores and deltas of proposals to detections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from faster_rcnn.roi.detections import DetectionFilter, select_detections
from faster_rcnn.structures import Detections, ImageSize, Proposals
from tiny import boxes_of

RULE = DetectionFilter(0.05, min_side=0.01, nms_iou=0.5, max_detections=100, delta_weights=(10.0, 10.0, 5.0, 5.0))
SIZE = ImageSize(height=100, width=200)
BOX, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


def select(
    boxes: Sequence[Sequence[float]],
    scores: Sequence[Sequence[float]],
    rule: DetectionFilter = RULE,
    deltas: Tensor | None = None,
) -> Detections:
    """Detections for given probabilities: rows of two classes and background."""
    logits = torch.tensor(scores).reshape(-1, 3).log()
    moved = torch.zeros(len(boxes), 2, 4) if deltas is None else deltas
    return select_detections(logits, moved, Proposals(boxes_of(boxes), torch.zeros(len(boxes))), SIZE, rule)


def test_best_first_with_label_and_probability() -> None:
    found = select([BOX, FAR], [[0.7, 0.04, 0.26], [0.02, 0.8, 0.18]])
    assert found.labels.tolist() == [1, 0]
    assert_close(found.scores, torch.tensor([0.8, 0.7]))
    assert_close(found.boxes, boxes_of([FAR, BOX]))


def test_background_is_never_reported() -> None:
    assert len(select([BOX], [[0.01, 0.01, 0.98]])) == 0


def test_one_proposal_may_give_a_detection_of_each_class() -> None:
    found = select([BOX], [[0.4, 0.5, 0.1]])
    assert found.labels.tolist() == [1, 0]


def test_a_score_must_exceed_the_floor() -> None:
    # 1/4 is exact in the softmax of equal logits and in float32.
    assert len(select([BOX], [[0.25, 0.25, 0.5]], replace(RULE, score_floor=0.25))) == 0
    assert len(select([BOX], [[0.25, 0.25, 0.5]], replace(RULE, score_floor=0.2499))) == 2


def test_nms_removes_duplicates_within_a_class_only() -> None:
    near = [0, 0, 10, 9]
    found = select([BOX, near], [[0.6, 0.3, 0.1], [0.5, 0.4, 0.1]])
    # Class 0 keeps the first (0.6), class 1 the second (0.4).
    assert_close(found.boxes, boxes_of([BOX, near]))
    assert found.labels.tolist() == [0, 1]


def test_each_class_moves_the_proposal_by_its_own_deltas() -> None:
    deltas = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [10.0, 5.0, 0.0, 5 * math.log(2)]]])
    found = select([BOX], [[0.5, 0.4, 0.1]], deltas=deltas)
    # Class 1: dx 1 of width 10, dy 1/2 of height 10, height doubled: centre (15, 10), 10 x 20.
    assert_close(found.boxes, boxes_of([BOX, [10, 0, 20, 20]]))


def test_clipped_to_the_image_and_what_is_outside_is_dropped() -> None:
    found = select([[190, 90, 230, 130], [300, 0, 310, 10]], [[0.9, 0.0, 0.1], [0.8, 0.0, 0.2]])
    assert_close(found.boxes, boxes_of([[190, 90, 200, 100]]))


def test_tiny_boxes_are_dropped() -> None:
    found = select([[0, 0, 0.5, 10], BOX], [[0.9, 0.0, 0.1], [0.8, 0.0, 0.2]], replace(RULE, min_side=1.0))
    assert_close(found.scores, torch.tensor([0.8]))


def test_at_most_so_many_and_the_best_of_them() -> None:
    boxes = [[20 * index, 0, 20 * index + 10, 10] for index in range(5)]
    scores = [[0.5 + index / 20, 0.0, 0.5 - index / 20] for index in range(5)]
    found = select(boxes, scores, replace(RULE, max_detections=2))
    assert_close(found.scores, torch.tensor([0.7, 0.65]))


def test_holes_are_never_reported_and_their_score_is_not_given_away() -> None:
    found = select([BOX], [[0.3, 0.6, 0.1]], replace(RULE, holes=(1,)))
    assert found.labels.tolist() == [0]
    assert_close(found.scores, torch.tensor([0.3]))


@pytest.mark.parametrize("floor", [0.0, 0.05])
def test_no_proposals(floor: float) -> None:
    found = select([], [], replace(RULE, score_floor=floor))
    assert len(found) == 0
    assert (found.boxes.shape, found.scores.shape, found.labels.shape) == ((0, 4), (0,), (0,))
    assert found.labels.dtype == torch.int64
