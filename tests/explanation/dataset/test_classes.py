from __future__ import annotations

import pytest
import torch

from faster_rcnn.data.records import Split
from faster_rcnn.errors import ModelFileError
from faster_rcnn.explanation.dataset.classes import in_labels_of
from faster_rcnn.structures import ClassMap, Detections
from made_surveys import record_of

DATA = ClassMap(("cow", "cat", "emu"), (4, 2, 9))
DETECTOR = ClassMap(("cat", "dog", None, "cow"), (1, 5, 6, 7))


def split_of(classes: ClassMap = DATA) -> Split:
    record = record_of([[0, 0, 10, 10], [5, 5, 20, 20], [30, 30, 50, 50]], [0, 2, 1])
    return Split("val", (record,), classes, ())


def test_labels_follow_names_and_ids_are_those_of_the_data() -> None:
    judged = in_labels_of(split_of(), DETECTOR, "m")
    [record] = judged.split.records
    assert record.truth.labels.tolist() == [3, 0]  # cow, cat
    assert record.truth.boxes.tolist() == [[0, 0, 10, 10], [30, 30, 50, 50]]
    assert record.areas.tolist() == [100.0, 400.0]
    assert record.boxes_xywh.tolist() == [[0, 0, 10, 10], [30, 30, 20, 20]]
    assert judged.split.classes.names == ("cat", None, None, "cow")
    assert (judged.split.classes.ids[0], judged.split.classes.ids[3]) == (2, 4)


def test_truths_of_unknown_classes_are_counted() -> None:
    judged = in_labels_of(split_of(), DETECTOR, "m")
    assert judged.unknown == {"emu": 1}
    assert "1 truth cannot be judged: emu (1)" in judged.notes[0]
    assert in_labels_of(split_of(DATA), DATA, "m").notes == ()


def test_detections_of_classes_that_the_data_lacks_take_no_part() -> None:
    judged = in_labels_of(split_of(), DETECTOR, "m")
    found = Detections(torch.zeros(3, 4), torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 3, 0]))
    assert judged.known(found).labels.tolist() == [3, 0]


def test_no_common_class_is_refused() -> None:
    with pytest.raises(ModelFileError, match=r"m and val have no class in common.*has cat, dog, cow; the data has owl"):
        in_labels_of(split_of(ClassMap(("owl", "elk", "yak"), (1, 2, 3))), DETECTOR, "m")
