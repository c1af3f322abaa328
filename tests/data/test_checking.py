"""Some images and boxes may be bad, but never all of a split."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig
from files import image_file

BOX, FLAT = [1, 1, 20, 10], [1, 1, 0, 10]


def coco(root: Path, split: str, boxes: list[list[int]], broken: int = 0) -> None:
    """One box in each image; the first ``broken`` images are no images."""
    images = [{"id": n, "file_name": f"{split}{n}.png"} for n in range(len(boxes))]
    for n, image in enumerate(images):
        path = image_file(root / "images" / str(image["file_name"]), seed=n)
        path.write_bytes(b"" if n < broken else path.read_bytes())
    annotations = [{"id": n, "image_id": n, "category_id": 1, "bbox": box} for n, box in enumerate(boxes)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{split}.json").write_text(json.dumps(content))


def test_one_bad_image_may_not_be_the_whole_split(tmp_path: Path) -> None:
    coco(tmp_path, "train", [BOX, BOX], broken=1)
    assert len(load_dataset(tmp_path, DataConfig()).splits["train"].records) == 1
    coco(tmp_path, "val", [BOX], broken=1)
    with pytest.raises(DatasetError, match=r"E115 no image of val can be used: .*val0\.png.*") as one:
        load_dataset(tmp_path, DataConfig())
    assert one.value.exit_code == 2


def test_one_absent_image_may_not_be_the_whole_split(tmp_path: Path) -> None:
    coco(tmp_path, "train", [BOX])
    (tmp_path / "images" / "train0.png").unlink()
    with pytest.raises(
        DatasetError, match=r"E115 no image of train can be used: train0\.png does not exist; .*train\.json"
    ):
        load_dataset(tmp_path, DataConfig())


def test_one_bad_box_may_not_be_the_only_one(tmp_path: Path) -> None:
    coco(tmp_path, "train", [BOX, FLAT])
    assert load_dataset(tmp_path, DataConfig()).splits["train"].faults[0].startswith("E107")
    coco(tmp_path, "val", [FLAT])
    with pytest.raises(DatasetError, match=r"E107 no box of val can be used: val\.json annotation id 0 .*width 0"):
        load_dataset(tmp_path, DataConfig())


def test_notes_have_no_error_codes(tmp_path: Path) -> None:
    coco(tmp_path, "train", [[-1, 1, 20, 10]])
    Image.new("L", (60, 40)).save(tmp_path / "images" / "train0.png")
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert "images converted to upright 8-bit RGB: 1 grey" in notes
    assert "boxes that stuck out by at most 1 pixel, clipped: 1" in notes


def test_an_image_that_is_listed_twice_is_reported(tmp_path: Path) -> None:
    coco(tmp_path, "train", [BOX, BOX, BOX])
    path = tmp_path / "annotations" / "train.json"
    path.write_text(path.read_text().replace("train1.png", "train0.png"))
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert f"images listed more than once, kept: 1 ({tmp_path / 'images' / 'train0.png'})" in notes


def test_faults_beyond_those_in_the_notes_are_logged_for_debugging(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    coco(tmp_path, "train", [BOX])
    path = tmp_path / "annotations" / "train.json"
    content = json.loads(path.read_text())
    box = content["annotations"][0]
    content["annotations"] = [{**box, "id": n, "bbox": FLAT if n < 22 else BOX} for n in range(2200)]
    path.write_text(json.dumps(content))
    with caplog.at_level(logging.DEBUG, "faster_rcnn.data.checking"):
        split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert "  and 2 more" in split.notes
    logged = [record.getMessage() for record in caplog.records if record.name == "faster_rcnn.data.checking"]
    assert logged == list(split.faults[20:])
    assert [text.split(" ")[0] for text in logged] == ["E107", "E107"]
