"""Reading of all splits: one that cannot be read is a finding, as long as another one can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.checking.content import read_content
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig
from files import coco_folder, image_file

BOX = [(0, 3.0, 4.0, 10.0, 20.0)]


def test_a_broken_split_is_a_finding(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [BOX, BOX], split="train")
    (data / "annotations" / "val.json").write_text("{")
    content = read_content(data, DataConfig())
    assert list(content.listings) == ["train"]
    refused = [each for each in content.findings if each.kind == "split.unreadable"]
    assert [(each.split, each.file, each.change) for each in refused] == [("val", "annotations/val.json", None)]
    assert refused[0].value.startswith("E102 ")


def test_data_of_which_nothing_can_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="E101"):
        read_content(tmp_path / "absent", DataConfig())
    (tmp_path / "train.json").write_text("{")
    with pytest.raises(DatasetError, match="E102"):
        read_content(tmp_path, DataConfig())
    (tmp_path / "train.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(DatasetError, match="E115"):
        read_content(tmp_path, DataConfig())


def test_entries_of_one_file_are_joined(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [BOX, BOX], split="train")
    file = data / "annotations" / "train.json"
    written = json.loads(file.read_text())
    written["images"][1]["file_name"] = "./1.png"
    file.write_text(json.dumps(written))
    content = read_content(data, DataConfig())
    images = content.listings["train"].images
    assert [(image.image_id, len(image.boxes)) for image in images] == [(10, 2)]
    assert [each.record for each in content.findings if each.kind == "image.listed-twice"] == [
        "train.json image ids 10, 20"
    ]


def test_pictures_that_nothing_mentions_are_a_remark(tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [BOX], split="train")
    image_file(data / "images" / "more.png")
    values = [each.value for each in read_content(data, DataConfig()).findings if each.kind == "image.unlisted"]
    assert values == ["pictures that no annotation mentions, not used: 1 (images/more.png)"]
