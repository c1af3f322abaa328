from __future__ import annotations

from pathlib import Path

from faster_rcnn.explanation.dataset.judged import JudgedImage
from made_surveys import judged_image, record_of


def test_an_image_has_no_neighbours_of_missing_labels_unless_they_are_given() -> None:
    image = judged_image(record_of([[0, 0, 10, 10]], [0]), [])
    assert image.neighbours == {}
    assert image.record.path == Path("1.png")


def test_a_judged_image_keeps_no_features() -> None:
    names = set(JudgedImage.__slots__)
    assert names == {"record", "detections", "truths", "false_positives", "oracles", "neighbours"}
