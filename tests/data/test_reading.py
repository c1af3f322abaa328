"""Formats are recognised by looking, agree with each other, and settings say what looking cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.config import DataConfig
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.errors import DatasetError

Boxes = dict[str, list[tuple[str, list[float]]]]


def contents(split: Split, shift: float = 0.0) -> Boxes:
    """Per image its classes and boxes, the upper left corner moved by ``shift``, in an order that formats share."""
    moved = (shift, shift, 0.0, 0.0)
    return {
        record.file_name.rsplit("/", 1)[-1]: sorted(
            (split.classes.name_of(label), [round(value + by, 1) for value, by in zip(corners, moved, strict=True)])
            for label, corners in zip(record.truth.labels.tolist(), record.truth.boxes.tolist(), strict=True)
        )
        for record in split.records
    }


def test_published_formats_of_the_same_boxes_agree(data_folder: Callable[[str], Path]) -> None:
    """voc100's README: its coco and yolo files lack the 1-pixel correction, so they are all.json but for -1, -1."""
    root = data_folder("voc100")
    published = root / "original" / "gts_every_format"
    images = str(root / "images")
    voc = contents(load_dataset(published / "pascalvoc_format", DataConfig(images=images)).splits["train"])
    assert sum(map(len, voc.values())) == 273
    assert contents(load_dataset(root / "annotations" / "all.json", DataConfig()).splits["train"]) == voc
    for file in ("coco_format_v1/instances_default.json", "coco_format_v2/instances_v2.json"):
        coco = load_dataset(published / file, DataConfig(images=images)).splits["train"]
        assert contents(coco, shift=-1.0) == voc
    plain = load_dataset(published / "imagenet_format", DataConfig(images=images, voc_offset=0)).splits["train"]
    assert contents(plain, shift=-1.0) == voc


def test_published_yolo_files_agree(data_folder: Callable[[str], Path], tmp_path: Path) -> None:
    root = data_folder("voc100")
    darknet = root / "original" / "gts_every_format" / "yolo_format"
    (tmp_path / "images").symlink_to(root / "images")
    (tmp_path / "labels").symlink_to(darknet / "obj_train_data")
    names = (darknet / "obj.names").read_text().split()
    (tmp_path / "data.yaml").write_text(f"train: images\nnames: {names}\n")
    yolo = contents(load_dataset(tmp_path, DataConfig()).splits["train"], shift=-1.0)
    voc = contents(load_dataset(root / "annotations" / "all.json", DataConfig()).splits["train"])
    assert yolo.keys() == voc.keys()
    for name, expected in voc.items():
        # six decimals of a share of 500 pixels, rounded above to tenths of a pixel
        assert [label for label, _ in yolo[name]] == [label for label, _ in expected]
        for (_, ours), (_, theirs) in zip(yolo[name], expected, strict=True):
            assert ours == pytest.approx(theirs, abs=0.11)


def coco_file(path: Path, image: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "categories": [{"id": 1, "name": "cat"}],
        "images": [{"id": 1, "file_name": image}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    path.write_text(json.dumps(content))


def test_settings_name_parts_by_hand(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (20, 20)).save(tmp_path / "pictures" / name)
    coco_file(tmp_path / "train.json", "a.png")
    coco_file(tmp_path / "other" / "holdout.json", "b.png")
    (tmp_path / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax,label\nc.png,1,2,3,4,cat\n")
    dataset = load_dataset(tmp_path, DataConfig(val="other/holdout.json", images="pictures"))
    assert {name: split.records[0].file_name for name, split in dataset.splits.items()} == {
        "train": "a.png",
        "val": "b.png",
    }
    with pytest.raises(DatasetError, match=r"E101 .*different formats: COCO JSON, CSV"):
        load_dataset(tmp_path, DataConfig(train="train.json", val="boxes.csv", images="pictures"))
    only = load_dataset(tmp_path, DataConfig(train="boxes.csv", images=str(tmp_path / "pictures")))
    assert (only.format, list(only.splits)) == ("CSV", ["train"])


def test_settings_name_folders_of_voc_and_yolo(tmp_path: Path) -> None:
    for split in ("one", "two"):
        for kind in ("images", "labels"):
            (tmp_path / kind / split).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(tmp_path / "images" / split / f"{split}.png")
        (tmp_path / "labels" / split / f"{split}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        corners = "<xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
        xml = f"<annotation><object><name>cat</name><bndbox>{corners}</bndbox></object></annotation>"
        (tmp_path / f"xml_{split}").mkdir()
        (tmp_path / f"xml_{split}" / f"{split}.xml").write_text(xml)
    voc = load_dataset(tmp_path, DataConfig(train="xml_one", images="images/one"))
    assert (voc.format, len(voc.splits["train"].records)) == ("VOC XML", 1)
    (tmp_path / "data.yaml").write_text("train: images/one\nnames: [cat]\n")
    yolo = load_dataset(tmp_path, DataConfig(val="images/two"))
    assert (yolo.format, list(yolo.splits)) == ("YOLO", ["train", "val"])


def test_a_data_set_is_never_written_to(data_folder: Callable[[str], Path]) -> None:
    root = data_folder("fruits18")
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    load_dataset(root, DataConfig())
    assert sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*")) == before
