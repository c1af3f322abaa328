from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from faster_rcnn.errors import ModelFileError
from faster_rcnn.evaluation.class_mapping import ClassMapping
from faster_rcnn.structures import ClassMap, Detections


def detections(labels: list[int]) -> Detections:
    count = len(labels)
    boxes = torch.arange(4.0 * count).reshape(count, 4)
    return Detections(boxes, torch.linspace(0.9, 0.1, count), torch.tensor(labels, dtype=torch.int64))


def test_equal_classes_change_nothing() -> None:
    classes = ClassMap(("a", "b"), (1, 2))
    mapping = ClassMapping.between(classes, classes, "m", "test")
    assert mapping.notes == ()
    assert mapping.apply(detections([1, 0, 1])).labels.tolist() == [1, 0, 1]


def test_others_of_the_detector_are_left_out_and_holes_are_no_classes() -> None:
    detector = ClassMap(("a", None, "b", "c"), (1, 2, 3, 4))
    data = ClassMap(("c", "a"), (4, 8))
    mapping = ClassMapping.between(detector, data, "m", "test")
    found = mapping.apply(detections([0, 2, 3, 0]))
    assert found.labels.tolist() == [1, 0, 1]
    assert found.boxes[:, 0].tolist() == [0, 8, 12]
    assert mapping.notes == (
        "the detector has 1 class that the data lacks; their detections are left out: b",
        "class ids differ between detector and data, so classes are matched by name: a 1 -> 8",
    )


def test_detections_keep_their_origins() -> None:
    mapping = ClassMapping.between(ClassMap(("a", "b"), (1, 2)), ClassMap(("b",), (5,)), "m", "test")
    origins = {"proposals": torch.tensor([7, 8, 9]), "parts": torch.tensor([0, 1, 2])}
    found = mapping.apply(replace(detections([1, 0, 1]), **origins))
    assert found.proposals is not None
    assert found.parts is not None
    assert (found.labels.tolist(), found.proposals.tolist(), found.parts.tolist()) == ([0, 0], [7, 9], [0, 2])


def test_no_detection_stays_none() -> None:
    mapping = ClassMapping.between(ClassMap(("a",), (1,)), ClassMap(("a",), (1,)), "m", "test")
    assert len(mapping.apply(detections([]))) == 0


def test_nothing_in_common() -> None:
    with pytest.raises(ModelFileError, match=r"^E123 m lacks 1 class of test: A\. It has 1 class \(a\)"):
        ClassMapping.between(ClassMap(("a",), (1,)), ClassMap(("A",), (1,)), "m", "test")
