"""The table and the JSON of a checked data set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.checking.report import WIDTH, faults, table, to_json, write_report
from faster_rcnn.checking.run import Checked, check_data
from files import coco_folder
from tiny import tiny_config

FLAT = (0, 3.0, 4.0, 0.0, 20.0)
BOX = (0, 3.0, 4.0, 10.0, 20.0)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    data = coco_folder(tmp_path_factory.mktemp("data"), [[FLAT] * 5, [BOX, BOX], [BOX]], split="train")
    return check_data(data, tiny_config())


def test_the_table_has_counts_and_first_examples_in_80_columns(checked: Checked) -> None:
    lines = table(checked).splitlines()
    assert lines[0] == "train: COCO JSON, 3 images, 8 boxes"
    assert lines[1] == "error        5  boxes without an area"
    assert lines[2] == "        train 1.png train.json annotation id 1: [3.0, 4.0, 0.0, 20.0]"
    assert lines[5] == "        and 2 more"
    assert lines[6] == "warning      1  boxes that occur twice"
    assert lines[-1].startswith("5 errors, 1 warning, ")
    assert all(len(line) <= WIDTH for line in lines if not line.startswith("anchors for these data"))


def test_the_anchors_are_one_line_to_copy(checked: Checked) -> None:
    assert checked.anchors is not None
    copied = [line for line in table(checked).splitlines() if line.startswith("anchors for these data: --set ")]
    assert len(copied) == (checked.anchors.fit is not None)


def test_strict_counts_errors_and_warnings(checked: Checked) -> None:
    assert faults(checked) == 6


def test_the_file_has_every_finding(checked: Checked, tmp_path: Path) -> None:
    path = write_report(tmp_path / "new", checked)
    written = json.loads(path.read_text())
    assert written == json.loads(json.dumps(to_json(checked)))
    assert path.name == "check_report.json"
    assert len(written["findings"]) == len(checked.findings)
    assert written["splits"] == {"train": {"images": 3, "boxes": 8, "usable_images": 3}}
    assert written["kinds"]["box.flat"] == {"level": "error", "count": 5}
    assert written["levels"]["error"] == 5
    assert written["classes"] == ["cat", "dog", "cow"]
