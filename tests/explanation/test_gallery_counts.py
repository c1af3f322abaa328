from __future__ import annotations

import pytest
import torch

from faster_rcnn.explanation.gallery_counts import counts_data, lowest_score
from faster_rcnn.structures import GroundTruth
from made_surveys import judged_image, record_of
from tiny import boxes_of


def test_each_detection_has_its_ious_with_the_truths_that_it_overlaps() -> None:
    image = judged_image(
        record_of([[0, 0, 10, 10], [50, 50, 70, 70]], [0, 1]),
        [((0, 0, 10, 5), 0.9, 0), ((60, 50, 70, 70), 0.8, 1), ((100, 0, 120, 9), 0.4, 0), ((0, 0, 5, 5), 0.04, 0)],
    )
    [written] = counts_data([image], 0.05)
    assert written["t"] == [[0, 0], [1, 0]]
    # Half of the first truth, and half of the second; the third detection lies on nothing, the last is below 0.05.
    expected = [[0, 0.9, [[0, 0.5]]], [1, 0.8, [[1, 0.5]]], [0, 0.4, []]]
    for row, wanted in zip(written["d"], expected, strict=True):
        assert row[0] == wanted[0]
        assert row[1] == pytest.approx(wanted[1], abs=2e-6)
        assert row[2] == wanted[2]


def test_the_overlap_with_an_ignored_truth_is_the_share_of_the_detection() -> None:
    record = record_of([[0, 0, 100, 100]], [0])
    truth = GroundTruth(boxes_of([[0, 0, 100, 100]]), torch.tensor([0]), torch.tensor([True]))
    image = judged_image(record, [((0, 0, 10, 10), 0.9, 0)])
    object.__setattr__(record, "truth", truth)
    [written] = counts_data([image], 0.05)
    assert written["t"] == [[0, 1]]
    assert written["d"][0][2] == [[0, 1.0]]


def test_the_lowest_score_leaves_no_more_detections_than_have_room() -> None:
    scores = [0.9, 0.8, 0.314, 0.3, 0.2, 0.01]
    image = judged_image(record_of([], []), [((0, 0, 9, 9), score, 0) for score in scores])
    assert lowest_score([image], 0.5, max_detections=10) == 0.05
    assert lowest_score([image], 0.5, max_detections=3) == 0.31  # the fourth has 0.3, and is one too many
    assert lowest_score([image], 0.1, max_detections=3) == 0.1  # never above the threshold of the page
    assert lowest_score([], 0.5) == 0.05
