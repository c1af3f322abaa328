"""Matching by hand, and against pycocotools' own matching on random boxes."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
import torch

from faster_rcnn.explanation.causes.matching import UNMATCHED, Matching, match_detections
from faster_rcnn.structures import Detections, GroundTruth
from tiny import boxes_of, truth_of


def detections_of(rows: list[tuple[float, ...]], labels: list[int] | None = None) -> Detections:
    """Detections best first, of class 0 unless said."""
    scores = torch.linspace(0.9, 0.5, len(rows))
    return Detections(boxes_of(rows), scores, torch.tensor(labels or [0] * len(rows), dtype=torch.int64))


def test_the_best_detection_takes_the_truth_and_the_second_has_none() -> None:
    found = match_detections(detections_of([(0, 0, 10, 11), (0, 0, 10, 10)]), truth_of([(0, 0, 10, 10)]), 0.5)
    assert found.truths.tolist() == [0, UNMATCHED]
    assert found.detections.tolist() == [0]
    assert found.excused.tolist() == [False, False]


def test_a_detection_takes_the_free_truth_of_highest_iou() -> None:
    truth = truth_of([(0, 0, 10, 10), (2, 0, 12, 10)])
    found = match_detections(detections_of([(2, 0, 12, 10), (2, 0, 12, 10), (2, 0, 12, 10)]), truth, 0.5)
    assert found.truths.tolist() == [1, 0, UNMATCHED]
    assert found.detections.tolist() == [1, 0]


def test_an_iou_equal_to_the_threshold_counts_and_another_class_does_not() -> None:
    truth = truth_of([(0, 0, 10, 10)])
    half = detections_of([(0, 0, 10, 20), (0, 0, 10, 10)], [0, 1])  # 100 shared of 200
    assert match_detections(half, truth, 0.5).truths.tolist() == [0, UNMATCHED]
    assert match_detections(half, truth, 0.51).truths.tolist() == [UNMATCHED, UNMATCHED]


def test_an_ignored_truth_excuses_any_number_of_detections_by_ioa() -> None:
    truth = truth_of([(0, 0, 100, 100), (0, 0, 10, 10)], ignored=[True, False])
    found = match_detections(detections_of([(0, 0, 10, 10), (0, 0, 10, 10), (95, 0, 105, 10)]), truth, 0.5)
    assert found.truths.tolist() == [1, UNMATCHED, UNMATCHED]
    assert found.detections.tolist() == [UNMATCHED, 0]
    assert found.excused.tolist() == [False, True, True]  # half of the last one lies inside


def test_nothing_matches_nothing() -> None:
    none = match_detections(detections_of([]), truth_of([(0, 0, 1, 1)]), 0.5)
    assert (none.truths.tolist(), none.detections.tolist()) == ([], [UNMATCHED])
    alone = match_detections(detections_of([(0, 0, 1, 1)]), truth_of([]), 0.5)
    assert (alone.truths.tolist(), alone.detections.tolist(), alone.excused.tolist()) == ([UNMATCHED], [], [False])


def made(seed: int) -> tuple[Detections, GroundTruth]:
    """Truths of two classes, some ignored and some twice, and detections around them, on whole pixels: IoUs tie."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 12))
    corners = random.integers(0, 30, (count, 2))
    boxes = np.concatenate((corners, corners + random.integers(4, 20, (count, 2))), axis=1)
    boxes = np.concatenate((boxes, boxes[: count // 4]))
    labels = random.integers(0, 2, len(boxes))
    truth = truth_of(boxes.tolist(), labels.tolist(), (random.random(len(boxes)) < 0.25).tolist())
    chosen = random.integers(0, len(boxes), 20)
    moved = boxes[chosen] + random.integers(-2, 3, (20, 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    scores = torch.linspace(0.95, 0.1, 20)
    return Detections(boxes_of(moved.tolist()), scores, torch.from_numpy(labels[chosen])), truth


def by_pycocotools(found: Detections, truth: GroundTruth, threshold: float) -> Matching:
    """The same by pycocotools: one image, numbers of detections and truths begin at 1."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def entries(boxes: torch.Tensor, labels: torch.Tensor) -> list[dict[str, object]]:
        xywh = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), dim=1).double().tolist()
        rows = zip(xywh, labels.tolist(), strict=True)
        return [
            {"id": n, "image_id": 1, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for n, (box, label) in enumerate(rows, 1)
        ]

    wanted, given = entries(truth.boxes, truth.labels), entries(found.boxes, found.labels)
    for entry, ignored in zip(wanted, truth.ignored.tolist(), strict=True):
        entry["iscrowd"] = int(ignored)
    for entry, score in zip(given, found.scores.tolist(), strict=True):
        entry["score"] = score
    with contextlib.redirect_stdout(io.StringIO()):
        sides = COCO(), COCO()
        for side, annotations in zip(sides, (wanted, given), strict=True):
            side.dataset = {"images": [{"id": 1}], "categories": [{"id": 0}, {"id": 1}], "annotations": annotations}
            side.createIndex()
        evaluation = COCOeval(*sides, "bbox")
        evaluation.params.iouThrs = [threshold]
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
    partner = torch.full((len(found),), UNMATCHED)
    of_truth = torch.full((len(truth.labels),), UNMATCHED)
    excused = torch.zeros(len(found), dtype=torch.bool)
    for one in filter(None, evaluation.evalImgs):
        rows = zip(one["dtIds"], one["dtMatches"][0], one["dtIgnore"][0], strict=True)
        for detection, match, ignored in rows:
            excused[detection - 1] = bool(ignored)
            if match and not ignored:
                partner[detection - 1] = int(match) - 1
                of_truth[int(match) - 1] = detection - 1
    return Matching(partner, of_truth, excused)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_random_boxes_match_as_by_pycocotools(threshold: float) -> None:
    matched = 0
    for seed in range(60):
        found, truth = made(seed)
        ours, theirs = match_detections(found, truth, threshold), by_pycocotools(found, truth, threshold)
        assert ours.truths.tolist() == theirs.truths.tolist(), seed
        assert ours.detections.tolist() == theirs.detections.tolist(), seed
        assert ours.excused.tolist() == theirs.excused.tolist(), seed
        matched += int((ours.truths != UNMATCHED).sum())
    assert matched > 100
