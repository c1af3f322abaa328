"""YOLO as it is written: shares of the image's sides, an empty file for no box, and the description."""

from __future__ import annotations

from pathlib import Path

import yaml

from faster_rcnn.data.formats.yolo_writer import YOLO, line_of
from written_images import CLASSES, DOG, FIRST, SPLITS


def test_a_line_holds_centre_and_sides_as_shares() -> None:
    # Centre (40, 10) and sides 20 and 10, of 60 x 40 pixels.
    assert line_of(DOG, FIRST) == "1 0.666666667 0.250000000 0.333333333 0.250000000\n"


def test_files_and_description(tmp_path: Path) -> None:
    notes = YOLO.write(tmp_path, SPLITS, CLASSES)
    assert len((tmp_path / "labels" / "train" / "a.txt").read_text().splitlines()) == 2  # without the crowd
    assert (tmp_path / "labels" / "val" / "b c.txt").read_text() == ""
    description = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert description == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "cat", 1: "wild, dog", 2: "bus"},
    }
    assert YOLO.images("val") == "images/val"
    assert notes[0].endswith("ordinary objects: 1")
    assert notes[1] == "classes are numbered from 0, as YOLO has them: 'cat' is 0, and was 1"
