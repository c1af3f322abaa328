from __future__ import annotations

from pathlib import Path

import torch

from faster_rcnn.data.records import Split
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.dataset.classes import in_labels_of
from faster_rcnn.explanation.dataset.judging import judge
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.structures import ClassMap, ImageSize
from files import image_file
from made_surveys import record_of, tiny_detector


def test_detections_of_classes_that_the_data_lacks_take_no_part(tmp_path: Path) -> None:
    """The data has cats only, the detector cats, dogs and cows."""
    predictor = Predictor(tiny_detector())
    path = image_file(tmp_path / "a.png")
    given = Split("val", (record_of([[5, 5, 30, 30]], [0], ImageSize(40, 60)),), ClassMap(("cat",), (3,)), ())
    judged = in_labels_of(given, predictor.classes, "m")
    [one] = judged.split.records
    recording = record(predictor, path, 0.0, one.truth)
    image = judge(recording, one, judged, Thresholds(0.0))
    assert set(recording.detections.labels.tolist()) == {0, 1, 2}
    assert torch.equal(image.detections.scores, recording.detections.scores[recording.detections.labels == 0])
    assert {each.label for each in image.false_positives} == {0}
    assert [each.attributes.class_name for each in image.truths] == ["cat"]
    assert image.truths[0].verdict.truth == 0
