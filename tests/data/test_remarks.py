"""Boxes that training cannot learn, and splits too small for a reliable AP, are reported before the work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.data.remarks import few_objects, small_objects, tiny_boxes, uneven_classes
from faster_rcnn.settings.schema import ImageConfig
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize


def split(count: int, boxes: list[list[float]], ignored: bool = False) -> Split:
    truth = GroundTruth(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.zeros(len(boxes), dtype=torch.int64),
        torch.full((len(boxes),), ignored),
    )
    areas = torch.zeros(len(boxes), dtype=torch.float64)
    record = ImageRecord(
        Path("a"), "a", 1, ImageSize(100, 200), truth, areas, torch.zeros(len(boxes), 4, dtype=torch.float64)
    )
    return Split("val", (record,) * count, ClassMap(("a",), (1,)), ())


def test_few_images_or_objects_are_remarked() -> None:
    box = [0.0, 0, 9, 9]
    assert few_objects(split(10, [box] * 5)) == []
    (line,) = few_objects(split(10, [box] * 4))
    assert line.startswith("val has 10 images and 40 objects: its AP changes by chance")
    (line,) = few_objects(split(1, [box] * 100))
    assert line.startswith("val has 1 image and 100 objects")
    assert few_objects(split(10, [box] * 50, ignored=True)) != []


def test_boxes_below_a_pixel_are_counted_with_a_size_that_helps() -> None:
    # 100 x 200 to 50 x 100: half the size; sides of 1.9 and 2 become 0.95 and 1 pixels.
    boxes = [[0.0, 0.0, 1.9, 50.0], [0.0, 0.0, 50.0, 1.9], [0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 80.0, 80.0]]
    image = ImageConfig(short_side=50, long_side=100)
    assert tiny_boxes(split(2, boxes[2:]), image) == []
    (line,) = tiny_boxes(split(2, boxes), image)
    # 50 / 0.95 = 52.6: 53 x 106 makes 1.007 of 1.9
    assert line == (
        "4 of 8 boxes of val are smaller than a pixel at an image size of 50 and are not learnt, though they count in "
        "validation; with --image-size 53 none of them is"
    )
    assert tiny_boxes(split(2, boxes), ImageConfig(short_side=53, long_side=106)) == []


def test_the_limit_of_the_longer_side_may_make_boxes_small() -> None:
    # 100 x 200 within 50: a quarter of the size, though the short side may be 100.
    (line,) = tiny_boxes(split(1, [[0.0, 0, 3, 50]]), ImageConfig(short_side=100, long_side=50))
    assert "at an image size of 100" in line


@pytest.mark.parametrize("side", [0.4, 0.1])
def test_boxes_below_a_pixel_of_the_file_are_for_the_annotator(side: float) -> None:
    (line,) = tiny_boxes(split(1, [[0.0, 0, side, 50]]), ImageConfig(short_side=100, long_side=200))
    assert f"remove them from the annotations, or enlarge the images: --image-size {100 / side:.0f}" in line


def test_a_split_without_boxes_has_no_small_ones() -> None:
    assert tiny_boxes(split(2, []), ImageConfig()) == []


def test_objects_between_one_and_four_pixels_are_counted() -> None:
    # 100 x 200 to 50 x 100: sides of 7.9 become 3.95, those of 8 become 4, and 1.9 becomes less than a pixel.
    boxes = [[0.0, 0.0, 7.9, 50.0], [0.0, 0.0, 5.0, 50.0], [0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 1.9, 50.0]]
    image = ImageConfig(short_side=50, long_side=100)
    (line,) = small_objects(split(1, boxes), image)
    assert line == (
        "2 of 4 objects of val (50.0%) are smaller than 4 pixels at an image size of 50, the smallest 2.5; they are "
        "hardly found (larger images: --image-size, or tiles)"
    )
    assert small_objects(split(1, boxes[2:]), image) == []
    assert small_objects(split(1, boxes, ignored=True), image) == []


def test_uneven_classes_are_the_commonest_and_the_rarest() -> None:
    def of(*counts: int) -> Split:
        labels = torch.tensor([label for label, count in enumerate(counts) for _ in range(count)])
        one = split(1, [[0.0, 0.0, 9.0, 9.0]] * len(labels))
        truth = replace(one.records[0].truth, labels=labels)
        names = ClassMap(tuple("abc"), (1, 2, 3))
        return replace(one, records=(replace(one.records[0], truth=truth),), classes=names)

    assert uneven_classes(of(5, 99, 7)) == []
    assert uneven_classes(of(5, 100, 7)) == ["classes of val are uneven: b has 100 objects and a 5, 20 times fewer"]
    assert uneven_classes(split(2, [])) == []
