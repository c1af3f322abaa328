from __future__ import annotations

import pytest
import torch

from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from tiny import truth_of


def test_detections_are_those_of_at_least_the_threshold_and_their_lives_end_in_them() -> None:
    explained = tiny_explained()
    assert 0 < len(explained.detections) < len(explained.recording.detections)
    assert bool((explained.detections.scores >= 0.37).all())
    life = explained.life(0)
    assert life.score == pytest.approx(float(explained.detections.scores[0]), abs=1e-6)
    assert life.box is not None
    torch.testing.assert_close(torch.tensor(life.box), explained.detections.boxes[0], rtol=1e-5, atol=1e-3)


def test_a_truth_that_is_a_detection_is_found_and_that_detection_is_no_false_positive() -> None:
    found = tiny_explained().detections
    explained = tiny_explained(truth_of([found.boxes[0].tolist()], [int(found.labels[0])]))
    [verdict] = explained.verdicts
    assert not verdict.missed
    assert verdict.detection == 0
    assert 0 not in [each.detection for each in explained.false_positives]


def test_without_truth_there_are_no_verdicts_and_the_message_names_the_argument() -> None:
    explained = tiny_explained()
    for name in ("verdicts", "false_positives"):
        with pytest.raises(OptionError, match=r"truth=\.\.\.") as error:
            getattr(explained, name)
        assert error.value.code == "E125"
