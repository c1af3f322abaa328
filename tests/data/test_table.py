"""CSV: one row per box, under several names for its columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.config import DataConfig
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError


def folder(root: Path, **files: str) -> Path:
    (root / "images").mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 80)).save(root / "images" / name)
    for name, text in files.items():
        (root / f"{name}.csv").write_text(text)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "image,xmin,ymin,xmax,ymax,label\nb.png,1,2,3,4,dog\na.png,10,20,30.5,40,cat\nb.png,5,6,7,8,cat\n",
        "filename;width;height;class;xmin;ymin;xmax;ymax\n"
        "b.png;100;80;dog;1;2;3;4\na.png;100;80;cat;10;20;30.5;40\nb.png;100;80;cat;5;6;7;8\n",
        "\ufeffLabel, X1, Y1, X2, Y2, Path\ndog,1,2,3,4,b.png\ncat,10,20,30.5,40,a.png\ncat,5,6,7,8,b.png",
    ],
)
def test_a_small_set_by_hand(tmp_path: Path, text: str) -> None:
    dataset = load_dataset(folder(tmp_path, boxes=text), DataConfig())
    assert dataset.format == "CSV"
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "dog"), (1, 2))
    first, second = dataset.splits["train"].records
    assert (first.file_name, first.image_id, second.file_name, second.image_id) == ("a.png", 1, "b.png", 2)
    assert first.truth.boxes.tolist() == [[10, 20, 30.5, 40]]
    assert second.truth.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert second.truth.labels.tolist() == [1, 0]


def test_splits_by_file_name_and_images_without_objects(tmp_path: Path) -> None:
    header = "image,xmin,ymin,xmax,ymax,label\n"
    folder(tmp_path, train=header + "a.png,1,2,3,4,cat\nb.png,,,,,\n", test_labels=header + "b.png,1,2,3,4,cat\n")
    dataset = load_dataset(tmp_path, DataConfig())
    assert list(dataset.splits) == ["train", "test"]
    assert [len(record.truth.labels) for record in dataset.splits["train"].records] == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,1,2,3,4,cat\n", "E103 .*first line is no header"),
        ("image,xmin,ymin,label\na.png,1,2,cat\n", "E103 .*lacks the columns xmax, ymax"),
        ("ImageID,Source,LabelName,XMin,XMax,YMin,YMax\n", "E103 .*Open Images"),
        ("", "E103 .*found: nothing"),
        ("image,xmin,ymin,xmax,ymax,label\n", "E115 .*lists no images, so train is empty"),
        ("image,xmin,ymin,xmax,ymax,label\na.png,,,,,\n", "E115 .*no classes"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_dataset(folder(tmp_path, train=text), DataConfig())


def test_two_files_for_one_split_must_be_chosen_from(tmp_path: Path) -> None:
    header = "image,xmin,ymin,xmax,ymax,label\na.png,1,2,3,4,cat\n"
    folder(tmp_path, train=header, train_old=header)
    with pytest.raises(DatasetError, match=r"both look like the train split.*--set data\.train=FILE"):
        load_dataset(tmp_path, DataConfig())
    assert len(load_dataset(tmp_path, DataConfig(train="train.csv")).splits["train"].records) == 1


def test_genuine_file(data_folder: Callable[[str], Path]) -> None:
    root = data_folder("raccoon")
    table = load_dataset(root / "original", DataConfig(images="../images"))
    reference = load_dataset(root, DataConfig())
    assert {name: len(split.records) for name, split in table.splits.items()} == {"train": 160, "test": 40}
    expected = {record.file_name: record.truth.boxes.tolist() for record in reference.splits["train"].records}
    for record in table.splits["train"].records:
        assert sorted(record.truth.boxes.tolist()) == sorted(expected[record.file_name])
