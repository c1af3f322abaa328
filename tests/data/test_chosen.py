"""Labelled images with the objects of some classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.chosen import split_of_classes
from faster_rcnn.data.reading import load_present
from faster_rcnn.data.records import Split
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.schema import DataConfig
from files import coco_folder

BOXES = [[(0, 5.0, 5.0, 30.0, 20.0), (1, 0.0, 0.0, 12.0, 12.0), (2, 1.0, 2.0, 3.0, 4.0)], [(1, 2.0, 2.0, 9.0, 9.0)]]


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return load_present(coco_folder(tmp_path, BOXES), DataConfig()).splits["test"]


def test_objects_of_other_classes_are_left_out_and_labels_stay(split: Split) -> None:
    chosen = split_of_classes(split, {"cow", "cat"})
    assert (chosen.classes.names, chosen.classes.ids) == (("cat", None, "cow"), split.classes.ids)
    first, second = chosen.records
    assert first.truth.labels.tolist() == [0, 2]
    assert first.truth.boxes.tolist() == [[5.0, 5.0, 35.0, 25.0], [1.0, 2.0, 4.0, 6.0]]
    assert first.boxes_xywh.tolist() == [[5.0, 5.0, 30.0, 20.0], [1.0, 2.0, 3.0, 4.0]]
    assert first.areas.tolist() == [600.0, 12.0]
    assert first.truth.ignored.tolist() == [False, False]
    assert len(second.truth.labels) == 0
    assert len(split.records[0].truth.labels) == 3


def test_a_class_that_the_data_lacks_is_refused(split: Split) -> None:
    with pytest.raises(OptionError, match=r"^E125 classes: test has no class 'bird'; it has cat, dog, cow$"):
        split_of_classes(split, {"cat", "bird"})
