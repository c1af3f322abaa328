"""The command `convert`: what it says, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.cli.main import main
from files import coco_folder


def test_it_says_what_it_wrote_and_what_was_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 3.25, 4.0, 10.5, 20.0)], []], split="train")
    assert main(["convert", str(data), "--to", "voc", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert f"VOC XML in {tmp_path / 'out'}: train 2 images and 1 box" in said
    assert "warning: edges of 1 box rounded to whole pixels" in said
    assert "warning: classes without a box are lost, since VOC has no list of classes: dog, cow" in said
    assert main(["convert", str(data), "--to", "voc", "--out", str(tmp_path / "out")]) == 2
    assert "is not empty; name a new folder" in capsys.readouterr().err


def test_data_that_cannot_be_read_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path / "none"), "--to", "yolo", "--out", str(tmp_path / "out")]) == 2
    assert "E101" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
