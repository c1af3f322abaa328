"""VOC as it is written: pixels from 1 with whole numbers, difficult objects, and lists of the splits."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from faster_rcnn.data.formats.voc_writer import VOC, annotation, corners_of
from faster_rcnn.data.formats.written import WrittenBox
from faster_rcnn.structures import ImageSize
from written_images import CLASSES, FOUND, SIZE, SPLITS


@pytest.mark.parametrize(
    ("box", "corners"),
    [
        ((30.0, 5.0, 20.0, 10.0), (31, 6, 50, 15)),  # the pixels 30 to 49, counted from 0, are 31 to 50 from 1
        ((0.0, 0.0, 60.0, 40.0), (1, 1, 60, 40)),
        ((59.7, 39.8, 0.3, 0.2), (59, 39, 60, 40)),  # at the border: the last two pixels
        ((10.4, 10.4, 0.1, 0.1), (11, 11, 12, 12)),  # at least two pixels
    ],
)
def test_corners_are_first_and_last_pixels(box: tuple[float, float, float, float], corners: tuple[int, ...]) -> None:
    assert corners_of(WrittenBox(*box, 0), SIZE) == corners


def test_an_image_of_one_pixel() -> None:
    assert corners_of(WrittenBox(0.0, 0.0, 1.0, 1.0, label=0), ImageSize(1, 1)) == (1, 1, 1, 1)


def test_files_and_lists(tmp_path: Path) -> None:
    notes = VOC.write(tmp_path, SPLITS, CLASSES)
    root = ElementTree.parse(tmp_path / "Annotations" / "a.xml").getroot()
    assert root.findtext("filename") == "a.png"
    assert [root.findtext(f"size/{each}") for each in ("width", "height", "depth")] == ["60", "40", "3"]
    assert [each.findtext("name") for each in root.findall("object")] == ["cat", "wild, dog", "wild, dog"]
    assert [each.findtext("difficult") for each in root.findall("object")] == ["0", "1", "0"]
    assert [each.text for each in root.findall("object")[0].find("bndbox") or ()] == ["11", "21", "16", "28"]
    lists = tmp_path / "ImageSets" / "Main"
    assert ((lists / "train.txt").read_text(), (lists / "val.txt").read_text()) == ("a\n", "b c\n")
    # The cat's left edge 10.25 is at 10, and its right edge 15.75 at 16.
    assert notes[0] == "edges of 1 box rounded to whole pixels, as VOC has them, by up to 0.25 pixels"
    assert notes[1].endswith("VOC has no list of classes: bus")


def test_detections_have_their_score() -> None:
    found = annotation(FOUND["val"][0], CLASSES)
    assert found.findtext("object/confidence") == "0.75"
