"""COCO files of a data set: which files are splits, and what other files are called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faster_rcnn.data.formats.coco import read
from faster_rcnn.data.formats.coco_files import candidates, find_files, find_splits, of_other_tool, read_json, unused
from faster_rcnn.data.layout.folders import Folders
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

TRUTH: dict[str, Any] = {"images": [], "annotations": [], "categories": []}


def write(path: Path, content: Any = TRUTH) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], {}),
        (["annotations/train.json", "annotations/val.json"], {"train": 0, "val": 1}),
        (["Annotations/instances_train2017.json"], {"train": 0}),
        (["annotations/cells.json"], {"train": 0}),  # a single file is the training split
        (["annotations/my_test.json"], {"test": 0}),
        (["train.json", "annotations/val.json"], {"val": 1}),  # ``annotations`` comes first
        (["train.json", "valid.json", "other.json"], {"train": 0, "val": 1}),
        (["cells.json"], {}),  # at the top it may be any JSON
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], {"train": 0, "val": 1}),
        (["train/_annotations.coco.json", "train.json"], {"train": 0}),
        (["train/labels.json", "val/labels.json"], {"train": 0, "val": 1}),
        (["annotations/train/labels.json"], {"train": 0}),
        (["annotations/train.json", "annotations/instances_train.json"], {"train": 0}),  # the exact name
        (["annotations/instances_train.json", "annotations/captions_train.json"], {"train": 0}),
        (["annotations/a_train.json", "annotations/b_train.json"], {"train": None}),  # neither of them
    ],
)
def test_layouts(tmp_path: Path, files: list[str], expected: dict[str, int | None]) -> None:
    paths = [write(tmp_path / file) for file in files]
    assert find_splits(tmp_path) == {
        split: tmp_path if number is None else paths[number] for split, number in expected.items()
    }


def test_lists_of_images_without_annotations_are_no_split(tmp_path: Path) -> None:
    """COCO's own ``image_info_test2017.json`` lies beside the ground truth."""
    train = write(tmp_path / "annotations" / "train.json")
    write(tmp_path / "annotations" / "image_info_test2017.json", {"images": [], "categories": []})
    write(tmp_path / "annotations" / "info.json", {"note": "made by hand"})
    assert find_splits(tmp_path) == {"train": train}
    assert unused(tmp_path, [train]) == [
        "JSON files that are not read as annotations: 2 (annotations/image_info_test2017.json, annotations/info.json); "
        "image_info_test2017.json: images without 'annotations'"
    ]
    train.unlink()
    assert list(find_splits(tmp_path)) == ["test"]  # so that its own error is raised


def test_only_the_needed_split_must_have_a_single_file(tmp_path: Path) -> None:
    folder = tmp_path / "annotations"
    train = write(folder / "train.json")
    tests = [write(folder / name) for name in ("test_a.json", "test_b.json")]
    assert find_splits(tmp_path) == {"train": train, "test": tmp_path}
    assert candidates(tmp_path) == {"train": [train], "test": tests}
    with pytest.raises(
        DatasetError, match=r"E101 annotations/test_a\.json, annotations/test_b\.json .*data\.test=FILE"
    ):
        read(tmp_path, "test", None, Folders(), tmp_path)


def test_two_folders_of_one_split_are_not_chosen_from(tmp_path: Path) -> None:
    for folder in ("val", "valid"):
        write(tmp_path / folder / "_annotations.coco.json")
    with pytest.raises(DatasetError, match=r"E101 val/_anno.*valid/_anno.*may be the val split"):
        load_dataset(tmp_path, DataConfig())


def test_the_only_ground_truth_among_other_files_is_the_training_split(tmp_path: Path) -> None:
    truth = write(tmp_path / "annotations" / "boxes.json")
    write(tmp_path / "annotations" / "colours.json", {"cat": "#ff0000"})
    assert find_splits(tmp_path) == {"train": truth}


def test_files_without_a_split_in_their_names_must_be_named(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        write(tmp_path / "annotations" / name)
    with pytest.raises(
        DatasetError,
        match=r"E101 .*2 JSON files whose names contain no split \(one\.json, two\.json\).*train=FILE",
    ):
        find_splits(tmp_path)


def test_a_folder_of_one_file_per_image_is_no_split(tmp_path: Path) -> None:
    for number in range(21):
        write(tmp_path / "train" / f"{number}.json")
    assert find_splits(tmp_path) == {}


def test_files_that_can_only_be_cocos(tmp_path: Path) -> None:
    assert find_files([tmp_path / "a.json"]) == {"train": tmp_path / "a.json"}
    assert find_files([tmp_path / "a_val.json"]) == {"val": tmp_path / "a_val.json"}
    both = [write(tmp_path / "x_val.json"), write(tmp_path / "y_val.json")]
    assert find_files(both) == {"val": tmp_path}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_keys_are_found_in_any_encoding_with_a_mark(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "annotations" / "test.json", {"images": [], "categories": []})
    write(tmp_path / "annotations" / "train.json")
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    path.write_bytes(mark + path.read_text().encode(encoding))
    assert list(find_splits(tmp_path)) == ["train"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"shapes": []}, "is a LabelMe file (it has 'shapes'), which is not read; export it as COCO JSON, VOC or YOLO"),
        ({"_via_img_metadata": {}}, "is a VGG Image Annotator file"),
        ({"asset": {}}, "is a VoTT file"),
        ({"features": []}, "is a GeoJSON file"),
        ([{"image": "a.jpg", "annotations": []}], "is a CreateML file"),
        ([{"image_id": 1, "score": 0.5}], "is a list of 1 records with 'score': a COCO results file."),
        ([1, 2], "is a list; COCO ground truth is an object with the lists 'images', 'annotations' and 'categories'"),
        ({"images": [], "info": 1}, "it lacks 'annotations', 'categories' (it has: images, info)"),
        ({"images": {}, "annotations": [], "categories": []}, "it lacks lists under its three keys"),
        ({}, "it lacks 'images', 'annotations', 'categories' (it has: nothing)"),
        (3, "it lacks 'images', 'annotations', 'categories' (it has: nothing)"),
    ],
)
def test_other_kinds_of_json_are_named(tmp_path: Path, content: Any, message: str) -> None:
    file = write(tmp_path / "train" / "a.json", content)
    with pytest.raises(DatasetError, match=r"^E103 ") as caught:
        read_json(file)
    assert message in str(caught.value)
    known = any(tool in message for tool in ("LabelMe", "VGG", "VoTT", "GeoJSON", "CreateML"))
    assert (of_other_tool(tmp_path) is not None) == known


def test_broken_files_belong_to_no_tool(tmp_path: Path) -> None:
    assert of_other_tool(tmp_path) is None
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.json").write_text("[")
    assert of_other_tool(tmp_path) is None
