"""The search for images: the layouts of tools, other folders of the data set, and the message about absent images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.data.records import Dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig


def picture(path: Path, colour: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80), (colour, 0, 0)).save(path)


def annotate(file: Path, *names: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "categories": [{"id": 1, "name": "x"}],
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "annotations": [
            {"id": number, "image_id": number, "category_id": 1, "bbox": [1, 1, 5, 5]} for number in range(len(names))
        ],
    }
    file.write_text(json.dumps(content))


def load(root: Path, **settings: str) -> Dataset:
    return load_dataset(root, DataConfig.model_validate(settings))


def notes(dataset: Dataset) -> str:
    return "\n".join(note for split in dataset.splits.values() for note in split.notes)


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("annotations/instances_default.json", "images/default"),  # CVAT
        ("labels.json", "data"),  # FiftyOne
        ("result.json", "images"),  # Label Studio
        ("train.json", "train"),
        ("train.json", "train/images"),
        ("annotations/train.json", "train"),
        ("annotations/instances_train2017.json", "images/train2017"),
        ("annotations/instances_train2017.json", "train2017"),
        ("train/labels.json", "train/data"),  # FiftyOne, a folder for each split
        ("train/annotations.json", "train/images"),
        ("training/coco.json", "training"),
        ("train/_annotations.coco.json", "train"),  # Roboflow
        ("train/_annotations.coco.json", "train/images"),
        ("train/_annotations.coco.json", "images/train"),
        ("annotations/train/instances.json", "images/train"),
        ("annotations/train.json", "JPEGImages"),
        ("train.json", "pictures/of/march"),
        ("labels.json", "batch 7"),
    ],
)
def test_layouts(tmp_path: Path, annotations: str, images: str) -> None:
    annotate(tmp_path / annotations, "a.png", "b.png")
    for name in ("a.png", "b.png"):
        picture(tmp_path / images / name)
    train = load(tmp_path).splits["train"]
    assert [record.path for record in train.records] == [tmp_path / images / name for name in ("a.png", "b.png")]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "val2017", "dev"])
@pytest.mark.parametrize("layout", ["{}/{}.png", "images/{}/{}.png", "{}/images/{}.png"])
def test_each_split_has_its_own_folder_of_equal_names(tmp_path: Path, val: str, layout: str) -> None:
    """The same file names in both folders: each split gets its own pictures."""
    for split, colour in (("train", 10), (val, 20)):
        annotate(tmp_path / f"{split}.json", "0.png")
        picture(tmp_path / layout.format(split, 0), colour)
    splits = load(tmp_path).splits
    assert {name: split.records[0].path for name, split in splits.items()} == {
        "train": tmp_path / layout.format("train", 0),
        "val": tmp_path / layout.format(val, 0),
    }


def test_images_of_another_split_are_never_used(tmp_path: Path) -> None:
    """Only the validation images were downloaded; those of training have the same names."""
    for split in ("train", "val"):
        annotate(tmp_path / "annotations" / f"{split}.json", "0.png", "1.png")
    for name in ("0.png", "1.png"):
        picture(tmp_path / "deep" / "val" / name)
    with pytest.raises(DatasetError, match="E104 2 of 2 images of train"):
        load(tmp_path)


def test_other_folders_of_the_data_set_are_searched_and_named(tmp_path: Path) -> None:
    annotate(tmp_path / "train.json", "a.png", "b.png")
    picture(tmp_path / "one" / "a.png")
    picture(tmp_path / "two" / "b.png")
    picture(tmp_path / ".trash" / "a.png")
    dataset = load(tmp_path)
    assert [record.path.parent.name for record in dataset.splits["train"].records] == ["one", "two"]
    assert f"the images of train are in {tmp_path / 'one'}, {tmp_path / 'two'}, found by their names" in notes(dataset)
    assert f"files that are not in {tmp_path / 'one'} but in another folder: 1" in notes(dataset)


def test_two_other_folders_with_all_images_are_both_named(tmp_path: Path) -> None:
    annotate(tmp_path / "train.json", "a.png")
    picture(tmp_path / "large" / "a.png", 1)
    picture(tmp_path / "small" / "a.png", 2)
    with pytest.raises(DatasetError, match=r"E104 .*large or those in .*small.*--set data\.images=FOLDER"):
        load(tmp_path)
    assert load(tmp_path, images="small").splits["train"].records[0].path == tmp_path / "small" / "a.png"


def test_two_usual_folders_with_all_images_are_refused(tmp_path: Path) -> None:
    annotate(tmp_path / "annotations" / "train.json", "a.png")
    picture(tmp_path / "images" / "a.png", 1)
    picture(tmp_path / "train" / "a.png", 2)
    dataset = load(tmp_path)
    assert dataset.splits["train"].records[0].path == tmp_path / "train" / "a.png"
    assert f"but of other content, are in {tmp_path / 'train'} and in {tmp_path / 'images'}" in notes(dataset)


def test_no_image_outside_of_the_data_set_is_used(tmp_path: Path) -> None:
    root = tmp_path / "set"
    annotate(root / "train.json", "a.png", "b.png")
    for name in ("a.png", "b.png"):
        picture(tmp_path / "images" / name)
    with pytest.raises(DatasetError, match="E104") as caught:
        load(root)
    assert f"Searched {root} and the folders below {root}" in str(caught.value)
    assert str(tmp_path / "images") not in str(caught.value)
    assert load(root, images="../images").splits["train"].records[0].path.samefile(tmp_path / "images" / "a.png")


def test_one_setting_serves_a_folder_for_each_split(tmp_path: Path) -> None:
    """The remedy in the message helps: ``data.images`` may name the folder above those of the splits."""
    for split in ("train", "val"):
        annotate(tmp_path / "set" / f"{split}.json", "0.png", "1.png")
        for name in ("0.png", "1.png"):
            picture(tmp_path / "elsewhere" / split / name)
    with pytest.raises(DatasetError, match=r"may hold a folder for each split: --set data\.images=FOLDER"):
        load(tmp_path / "set")
    splits = load(tmp_path / "set", images=str(tmp_path / "elsewhere")).splits
    assert [split.records[0].path.parent.name for split in splits.values()] == ["train", "val"]


def test_a_setting_that_has_no_images_is_named(tmp_path: Path) -> None:
    annotate(tmp_path / "train.json", "a.png", "b.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"Searched .*empty, which data\.images names"):
        load(tmp_path, images="empty")


def test_images_of_a_single_file_may_be_beside_its_folder(tmp_path: Path) -> None:
    annotate(tmp_path / "annotations" / "train.json", "a.png")
    picture(tmp_path / "images" / "a.png")
    assert len(load(tmp_path / "annotations" / "train.json").splits["train"].records) == 1


def test_links_that_lead_in_circles_end(tmp_path: Path) -> None:
    annotate(tmp_path / "train.json", "a.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    picture(tmp_path / "deep" / "er" / "a.png")
    assert load(tmp_path).splits["train"].records[0].path == tmp_path / "deep" / "er" / "a.png"
