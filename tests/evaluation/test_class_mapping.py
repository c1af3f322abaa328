from __future__ import annotations

import pytest
import torch

from faster_rcnn.errors import ModelFileError
from faster_rcnn.evaluation.class_mapping import Translation
from faster_rcnn.structures import ClassMap, Detections


def detections(labels: list[int]) -> Detections:
    count = len(labels)
    boxes = torch.arange(4.0 * count).reshape(count, 4)
    return Detections(boxes, torch.linspace(0.9, 0.1, count), torch.tensor(labels, dtype=torch.int64))


def test_equal_classes_change_nothing() -> None:
    classes = ClassMap(("a", "b"), (1, 2))
    translation = Translation.between(classes, classes, "m", "test")
    assert translation.notes == ()
    assert translation.translate(detections([1, 0, 1])).labels.tolist() == [1, 0, 1]


def test_others_of_the_detector_are_left_out_and_holes_are_no_classes() -> None:
    known = ClassMap(("a", None, "b", "c"), (1, 2, 3, 4))
    wanted = ClassMap(("c", "a"), (4, 8))
    translation = Translation.between(known, wanted, "m", "test")
    found = translation.translate(detections([0, 2, 3, 0]))
    assert found.labels.tolist() == [1, 0, 1]
    assert found.boxes[:, 0].tolist() == [0, 8, 12]
    assert translation.notes == (
        "the detector knows 1 class that the data does not have; what it finds of them is left out: b",
        "class ids differ between detector and data, so classes are told by name: a 1 -> 8",
    )


def test_no_detection_stays_none() -> None:
    translation = Translation.between(ClassMap(("a",), (1,)), ClassMap(("a",), (1,)), "m", "test")
    assert len(translation.translate(detections([]))) == 0


def test_nothing_in_common() -> None:
    with pytest.raises(ModelFileError, match=r"^E123 m does not know 1 class of test: A\. It knows 1 class \(a\)"):
        Translation.between(ClassMap(("a",), (1,)), ClassMap(("A",), (1,)), "m", "test")
