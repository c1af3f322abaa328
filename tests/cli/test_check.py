"""The command `check`: its outputs, its exit code, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.cli.main import main
from files import bytes_below, coco_folder

BOX, FLAT = (0, 3.0, 4.0, 10.0, 20.0), (1, 5.0, 5.0, 0.0, 7.0)


def test_it_reports_and_fails_where_it_is_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = coco_folder(tmp_path / "data", [[BOX, FLAT]], split="train")
    assert main(["check", "data"]) == 0
    shown = capsys.readouterr()
    assert "error        1  boxes without an area" in shown.out
    assert "all findings in runs/data-check/check_report.json, with pictures in runs/data-check/check.html" in shown.err
    assert json.loads(Path("runs/data-check/check_report.json").read_text())["levels"]["error"] == 1
    assert main(["check", "data", "--strict", "--out", "here"]) == 2
    assert Path("here/check.html").is_file()
    assert main(["check", "data", "--fix", "mended", "--out", "here"]) == 0
    assert "mended copy in mended: 1 change, listed in mended/CHANGES.md" in capsys.readouterr().err
    assert main(["check", "mended", "--strict", "--out", "here"]) == 0
    assert data.is_dir()


def test_outputs_stay_out_of_the_data_and_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = coco_folder(tmp_path / "data", [[BOX]], split="train")
    before = bytes_below(data)
    out = ["--out", str(tmp_path / "out")]
    for arguments, reason in (
        (["--fix", str(data), *out], "is in the data's own folder"),
        (["--fix", str(data / "mended"), *out], "is in the data's own folder"),
        (["--fix", str(tmp_path), *out], "is not empty"),
        (["--fix", str(tmp_path / "new"), "--out", str(tmp_path / "new" / "report")], "holds the data set alone"),
        (["--out", str(data / "report")], "lies in the labelled images"),
    ):
        assert main(["check", str(data), *arguments]) == 2
        assert reason in capsys.readouterr().err
    assert bytes_below(tmp_path) == {f"data/{name}": content for name, content in before.items()}


def test_data_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "E101" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
