"""The rules for a single box, with the arithmetic in the numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.checking.box_faults import Sound, judge_boxes
from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.image_faults import Usable
from faster_rcnn.checking.notation import Meaning
from faster_rcnn.checking.pictures import Picture
from faster_rcnn.data.layout.listing import ListedBox, ListedImage
from faster_rcnn.structures import ImageSize

SIZE = ImageSize(80, 100)
XYWH, VOC = Meaning("xywh", False), Meaning("xyxy", False, 1.0)


def judged(
    meaning: Meaning, *written: object, keys: tuple[int | str, ...] = ()
) -> tuple[list[Sound], list[Finding], int]:
    boxes = tuple(
        ListedBox(f"object {n}", tuple(each) if isinstance(each, tuple) else (each,), keys[n] if keys else 1)
        for n, each in enumerate(written)
    )
    image = ListedImage("a.jpg", Path("a.jpg"), 1, None, boxes, "train.json")
    return judge_boxes(Usable(image, SIZE, Picture(SIZE), None), "train", meaning, {1: 0, 2: 1}, False)


@pytest.mark.parametrize(
    ("meaning", "written", "kind", "corners"),
    [
        (XYWH, (10, 20, 30, 40), None, (10, 20, 40, 60)),
        (XYWH, (10, 20, 0, 40), "box.flat", None),
        (XYWH, (10, 20, 0.001, 40), "box.flat", None),
        (XYWH, (40, 20, -30, 40), "box.swapped", (10, 20, 40, 60)),
        (XYWH, (10, 20, -30, 40), "box.swapped", None),  # the other edge would be at -20
        (XYWH, (120, 20, 30, 40), "box.outside", None),
        (XYWH, (80, 20, 30, 40), "box.beyond", (80, 20, 100, 60)),
        (XYWH, (80, 20, 20.5, 40), "trimmed", (80, 20, 100, 60)),
        (XYWH, (0.1, 0.25, 0.3, 0.5), "box.normalised", (10, 20, 40, 60)),
        (XYWH, (0, 0, 1, 1), "box.normalised", (0, 0, 100, 80)),
        (XYWH, (1e308, 20, 1e308, 40), "box.outside", None),
        (XYWH, (-1e300, -1e300, 1e308, 1e308), "box.beyond", (0, 0, 100, 80)),
        (Meaning("cxcywh", True), (1e308, 0.5, 1e308, 0.5), "box.outside", None),
        (XYWH, (10, 20, 30), "box.numbers", None),
        (XYWH, (10, 20, "nan", 40), "box.numbers", None),
        (XYWH, None, "box.numbers", None),
        (VOC, (11, 21, 40, 60), None, (10, 20, 40, 60)),
        (VOC, (40, 21, 11, 60), "box.swapped", (10, 20, 40, 60)),
        (VOC._replace(order="xywh"), (40, 20, -30, 40), "box.swapped", (10, 20, 40, 60)),  # sizes in VOC count from 0
        (VOC._replace(order="yxyx"), (60, 11, 21, 40), "box.swapped", (10, 20, 40, 60)),
        (VOC, (11, 21, 11, 60), "box.flat", None),  # one pixel by VOC's counting, but a slip of the mouse
    ],
)
def test_a_box_alone(meaning: Meaning, written: object, kind: str | None, corners: tuple[float, ...] | None) -> None:
    sound, findings, trimmed = judged(meaning, written)
    assert [each.kind for each in findings] == ([] if kind in (None, "trimmed") else [kind])
    assert trimmed == (kind == "trimmed")
    assert all(each.box is None or max(map(abs, each.box)) < 1e8 for each in findings)  # for its picture
    assert [each.corners for each in sound] == ([] if corners is None else [pytest.approx(corners)])
    assert all(each.changed == (kind is not None) for each in sound)


def test_a_box_without_a_class_name_is_dropped_and_so_is_one_without_a_label() -> None:
    sound, findings, _ = judged(XYWH, (10, 20, 30, 40), (20, 20, 30, 40), keys=("", 404))
    assert sound == []
    assert [each.kind for each in findings] == ["box.no-class"]  # the undeclared class is a finding about classes


def test_duplicates_go_and_two_classes_for_one_box_stay() -> None:
    box = (10, 20, 30, 40)
    sound, findings, _ = judged(XYWH, box, (10.001, 20, 30, 40), box, keys=(1, 1, 2))
    assert [each.label for each in sound] == [0, 1]
    assert [(each.kind, each.value) for each in findings] == [
        ("box.duplicate", "equal to object 0"),
        ("box.two-classes", "the box of object 0"),
    ]
    assert findings[1].change is None
