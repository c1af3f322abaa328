"""What the writers take, and the lines on what their formats cannot hold."""

from __future__ import annotations

from faster_rcnn.data.formats.written import WrittenBox, left_out, number, unused_classes
from written_images import CLASSES, SPLITS


def test_a_box_has_corners() -> None:
    assert WrittenBox(3.25, 4.0, 10.5, 20.0, label=1).corners == (3.25, 4.0, 13.75, 24.0)


def test_what_is_lost_is_counted_and_named() -> None:
    assert left_out(SPLITS, "YOLO") == [
        "ignored regions (crowd, difficult) left out, since YOLO has no mark for them and they would be read as "
        "ordinary objects: 1"
    ]
    assert left_out({}, "YOLO") == []
    assert unused_classes(SPLITS, CLASSES, "CSV") == [
        "classes without a box are lost, since CSV has no list of classes: bus"
    ]
    assert unused_classes(SPLITS, CLASSES, "CSV") != unused_classes({}, CLASSES, "CSV")


def test_numbers_have_the_digits_that_they_need() -> None:
    assert [number(each) for each in (12.5, 3.0, 0.12345, 0.0, 100.0)] == ["12.5", "3", "0.1235", "0", "100"]
