"""Formats are recognised and agree with each other; settings decide where nothing is recognised."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Split
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

Boxes = dict[str, list[tuple[str, list[float]]]]


def contents(split: Split, shift: float = 0.0) -> Boxes:
    """Classes and boxes by image, the upper left corner moved by ``shift``, in an order that formats share."""
    moved = (shift, shift, 0.0, 0.0)
    return {
        record.file_name.rsplit("/", 1)[-1]: sorted(
            (split.classes.name_of(label), [round(value + by, 1) for value, by in zip(corners, moved, strict=True)])
            for label, corners in zip(record.truth.labels.tolist(), record.truth.boxes.tolist(), strict=True)
        )
        for record in split.records
    }


def test_published_formats_of_the_same_boxes_agree(data_folder: Callable[[str], Path]) -> None:
    """By voc100's README its COCO and YOLO files lack the 1-pixel correction: they are all.json without -1, -1."""
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


def _picture(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80)).save(file)


def _write(file: Path, content: str, encoding: str = "utf-8") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding=encoding)


def _xml(name: str = "cat") -> str:
    box = "<xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>50</ymax>"
    return f"<annotation><object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>"


_TABLE = "image,xmin,ymin,xmax,ymax,label\na.png,10,10,40,50,cat\n"
_YAML = "train: images\nnames: [cat]\n"
_LABEL = "0 0.25 0.375 0.3 0.5\n"


def test_every_format_that_describes_a_folder_is_named(tmp_path: Path) -> None:
    _picture(tmp_path / "images" / "a.png")
    _write(tmp_path / "Annotations" / "a.xml", _xml())
    _write(tmp_path / "train_labels.csv", _TABLE)
    note = load_dataset(tmp_path, DataConfig()).splits["train"].notes[-1]
    assert "is described by" in note
    assert f"and by {tmp_path / 'Annotations'} (VOC XML)" in note
    assert load_dataset(tmp_path / "Annotations", DataConfig()).format == "VOC XML"  # what the note promises
    _write(tmp_path / "data.yaml", _YAML)
    _write(tmp_path / "labels" / "a.txt", _LABEL)
    note = load_dataset(tmp_path, DataConfig()).splits["train"].notes[-1]
    assert f"is described by {tmp_path / 'data.yaml'} (YOLO)" in note
    assert "(VOC XML)" in note
    assert f"{tmp_path / 'train_labels.csv'} (CSV)" in note


@pytest.mark.parametrize("inner", ["pets", "VOCdevkit/VOC2012"])
def test_a_data_set_one_folder_too_deep_is_named(tmp_path: Path, inner: str) -> None:
    _picture(tmp_path / inner / "a.png")
    _write(tmp_path / inner / "a.xml", _xml())
    with pytest.raises(DatasetError, match=f"a data set is in {tmp_path / inner}, which can be the DATA"):
        load_dataset(tmp_path, DataConfig())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("train.tsv", r"it holds train\.tsv, and tables are read as CSV: save it as train\.csv"),
        ("labels.xlsx", r"it holds labels\.xlsx, and tables are read as CSV"),
        ("photo.heic", "it holds images, but no annotations of objects"),
        ("train/metadata.jsonl", r"it holds \.jsonl files, none of which is read as annotations"),
    ],
)
def test_a_folder_without_annotations_is_described(tmp_path: Path, name: str, message: str) -> None:
    _picture(tmp_path / "train" / "a.png")
    _write(tmp_path / name, "x")
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path, DataConfig())


def test_split_folders_of_labels_without_a_description(tmp_path: Path) -> None:
    """The lines in the message are enough."""
    for split in ("train", "valid"):
        _picture(tmp_path / split / "images" / f"{split}.png")
        _write(tmp_path / split / "labels" / f"{split}.txt", _LABEL)
    with pytest.raises(DatasetError, match=r"has no data\.yaml: write .*'train: train', 'val: valid'"):
        load_dataset(tmp_path, DataConfig())
    _write(tmp_path / "data.yaml", "train: train\nval: valid\nnames: [cat]\n")
    dataset = load_dataset(tmp_path, DataConfig())
    assert {name: len(split.records) for name, split in dataset.splits.items()} == {"train": 1, "val": 1}


def test_xml_of_a_wrong_encoding_everywhere_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _picture(tmp_path / f"{name}.png")
        _write(tmp_path / f"{name}.xml", '<?xml version="1.0" encoding="utf-8"?>' + _xml("chêne"), "latin-1")
    with pytest.raises(DatasetError, match=r"E102 none of the 2 images of train can be used: .*a\.xml declares"):
        load_dataset(tmp_path, DataConfig())


@pytest.mark.parametrize(
    ("there", "named", "remedy"),
    [
        (("A.PNG", "B.PNG"), ("a.png", "b.png"), "Give the files the names that train.csv has"),
        (("a.png", "b.png"), ("a", "b"), "Give the files the names that train.csv has"),
        (("a.png",), ("a.png", "b.png", "c.png"), "Put the absent images there, or take them out of train.csv"),
        ((), ("a.png", "b.png"), "--set data.images=FOLDER"),
    ],
)
def test_the_remedy_for_absent_images_fits_the_case(
    tmp_path: Path, there: tuple[str, ...], named: tuple[str, ...], remedy: str
) -> None:
    for name in there:
        _picture(tmp_path / name)
    header, row = _TABLE.splitlines()
    _write(tmp_path / "train.csv", "\n".join([header, *(row.replace("a.png", name) for name in named)]))
    with pytest.raises(DatasetError, match="E104") as caught:
        load_dataset(tmp_path, DataConfig())
    assert remedy in str(caught.value)
    assert ("data.images" in str(caught.value)) == (remedy == "--set data.images=FOLDER")


def test_classes_that_are_not_learnt_are_counted(tmp_path: Path) -> None:
    for name in ("images/a", "val/b"):
        _picture(tmp_path / f"{name}.png")
    _write(tmp_path / "labels" / "a.txt", _LABEL)
    _write(tmp_path / "val" / "b.txt", "1" + _LABEL[1:])
    _write(tmp_path / "data.yaml", "train: images\nval: val\nnames: [cat, dog, owl]\n")
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert "classes without any object in train, so they are not learnt: 2 of 3 (dog, owl)" in notes


def test_a_picture_with_xml_instead_of_labels_is_no_background(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _picture(tmp_path / "images" / f"{name}.png")
    _write(tmp_path / "images" / "a.txt", _LABEL)
    _write(tmp_path / "images" / "b.xml", _xml())
    _write(tmp_path / "data.yaml", _YAML)
    train = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [record.file_name for record in train.records] == ["images/a.png"]
    assert any("b.png has no label file labels/b.txt, but b.xml" in fault for fault in train.faults), train.faults
    assert not any("taken as background" in note for note in train.notes)


def test_labels_whose_accents_are_stored_otherwise(tmp_path: Path) -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    _picture(tmp_path / "images" / f"{composed}.png")
    _write(tmp_path / "labels" / f"{decomposed}.txt", _LABEL)
    _write(tmp_path / "data.yaml", _YAML)
    train = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [len(record.truth.labels) for record in train.records] == [1]
    assert not any("without a picture" in note for note in train.notes)


def test_lists_of_another_machine_are_found_by_their_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        _picture(tmp_path / "JPEGImages" / f"{name}.png")
        _write(tmp_path / "labels" / f"{name}.txt", _LABEL)
    _write(tmp_path / "train.txt", "/home/me/voc/JPEGImages/a.png\n")
    _write(tmp_path / "2007_test.txt", "/home/me/voc/JPEGImages/b.png\n")
    _write(tmp_path / "obj.names", "cat\n")
    description = "classes = 1\ntrain = /home/me/voc/train.txt\nvalid = /home/me/voc/2007_test.txt\nnames = obj.names\n"
    _write(tmp_path / "voc.data", description)
    dataset = load_dataset(tmp_path, DataConfig())
    assert [record.path.name for split in dataset.splits.values() for record in split.records] == ["a.png", "b.png"]


def test_coco_keys_without_effect_are_counted(tmp_path: Path) -> None:
    _picture(tmp_path / "images" / "a.png")
    marks: list[dict[str, object]] = [{"ignore": 1}, {"difficult": "0"}, {"ignore": 1, "iscrowd": 1}, {}]
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [10 * n, 10, 5, 5], **mark} for n, mark in enumerate(marks)
    ]
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}],
    }
    _write(tmp_path / "annotations" / "train.json", json.dumps(content))
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert any("a true 'ignore' or 'difficult'" in note and note.endswith(": 1 (annotation id 0)") for note in notes)


def test_the_garbage_collector_runs_again_after_reading(tmp_path: Path) -> None:
    """The pause ends with the reading, also where that fails; a collector that was off before stays off."""
    (tmp_path / "train.csv").write_text("image,xmin,ymin,xmax,ymax,label\nc.png,1,2,3,4,cat\n")
    with pytest.raises(DatasetError, match=r"c\.png"):
        load_dataset(tmp_path, DataConfig())
    assert gc.isenabled()
    Image.new("RGB", (20, 20)).save(tmp_path / "c.png")
    load_dataset(tmp_path, DataConfig())
    assert gc.isenabled()
    gc.disable()
    try:
        load_dataset(tmp_path, DataConfig())
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "files",
    [
        ("train.json",),
        ("annotations/train.json",),
        ("train.csv",),
        ("data.yaml",),
        ("obj.data",),
        ("Annotations/a.xml", "JPEGImages/a.png"),
        ("ImageSets/Main/train.txt", "Annotations/a.xml", "JPEGImages/a.png"),
    ],
)
@pytest.mark.parametrize("pipe", [True, False])
def test_a_pipe_or_device_in_the_place_of_a_file_is_refused_and_not_waited_for(
    tmp_path: Path, files: tuple[str, ...], pipe: bool
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    for name in files[1:]:
        _picture(tmp_path / name) if name.endswith(".png") else _write(tmp_path / name, _xml())
    os.mkfifo(tmp_path / files[0]) if pipe else (tmp_path / files[0]).symlink_to("/dev/zero")

    def awaited(*_: object) -> None:
        raise AssertionError(f"{files[0]} is waited for")

    before = signal.signal(signal.SIGALRM, awaited)
    signal.alarm(30)  # seconds; the refusal takes milliseconds
    try:
        with pytest.raises(
            DatasetError, match=rf"E102 .*cannot read .*it is a {'named pipe' if pipe else 'device'}, not"
        ):
            load_dataset(tmp_path, DataConfig())
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_the_format_and_its_files_are_logged_for_debugging(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "val"):
        image = tmp_path / "images" / split / "a.png"
        image.parent.mkdir(parents=True)
        Image.new("RGB", (20, 10), (0, 0, 10 * len(split))).save(image)
        label = tmp_path / "labels" / split / "a.txt"
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 1 1\n0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    with caplog.at_level(logging.DEBUG, "faster_rcnn.data.reading"):
        load_dataset(tmp_path, DataConfig(), ["val"])
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.DEBUG] == [
        f"{tmp_path} holds files of these kinds: 2 .png, 2 .txt, 1 .yaml",
        f"train is YOLO, described by {tmp_path}/data.yaml, from {tmp_path}/images/train",
        f"val is YOLO, described by {tmp_path}/data.yaml, from {tmp_path}/images/val",
        "val lists 1 images, 0 of them without boxes, and 2 boxes",
    ]
