"""CSV as it is written: a row for each box, and a row with empty cells for an image without one."""

from __future__ import annotations

from pathlib import Path

from faster_rcnn.data.formats.table_writer import CSV
from written_images import CLASSES, FOUND, SPLITS


def test_rows(tmp_path: Path) -> None:
    notes = CSV.write(tmp_path, SPLITS, CLASSES)
    assert (tmp_path / "train.csv").read_text().splitlines() == [
        "image,xmin,ymin,xmax,ymax,label",
        "images/train/a.png,10.25,20,15.75,28,cat",
        'images/train/a.png,30,5,50,15,"wild, dog"',
    ]
    assert (tmp_path / "val.csv").read_text().splitlines()[1:] == ["images/val/b c.png,,,,,"]
    assert [note.rpartition(": ")[2] for note in notes] == ["1", "bus"]


def test_detections_have_a_column_for_their_score(tmp_path: Path) -> None:
    CSV.write(tmp_path, FOUND, CLASSES)
    assert (tmp_path / "val.csv").read_text().splitlines() == [
        "image,xmin,ymin,xmax,ymax,label,score",
        "images/val/a.png,10,20,15,28,bus,0.75",
        "images/val/b c.png,,,,,,",
    ]
