"""Lists of images: their splits, and the meaning of their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.formats.voc_lists import Entry, find_annotations, find_lists, parse_line, unused_lists
from faster_rcnn.errors import DatasetError


def annotated(root: Path, *stems: str, folder: str = "Annotations") -> Path:
    for stem in stems:
        target = root / folder / f"{stem}.xml"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("<annotation/>")
    return root


def lists(root: Path, folder: str, **texts: str) -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (root / folder / f"{name}.txt").write_text(text)
    return root


def found(root: Path) -> dict[str, list[str]]:
    return {split: [file.relative_to(root).as_posix() for file in files] for split, files in find_lists(root).items()}


@pytest.mark.parametrize(
    ("line", "stem", "picture"),
    [
        ("a", "a", ""),
        ("a.jpg", "a", "a.jpg"),
        ("a.heic", "a", ""),
        ("cam1/a", "cam1/a", ""),
        ("./JPEGImages/a.jpg ./Annotations/a.xml", "Annotations/a", "a.jpg"),
        (".\\JPEGImages\\a.jpg\t.\\Annotations\\b.xml", "Annotations/b", "a.jpg"),
        ("images/my photo.jpg xml/my photo.xml", "xml/my photo", "my photo.jpg"),
        ("a -1", "a", ""),
        ("a.jpg  1", "a", "a.jpg"),
        ("photo 12", "photo 12", ""),
        ("photo 13", "photo", ""),
        ("Abyssinian_100 1 1 1", "Abyssinian_100", ""),
        ("1 " * 50_000 + "x", "1 " * 50_000 + "x", ""),  # no path: to try all ways to share it out would take hours
    ],
)
def test_lines(line: str, stem: str, picture: str) -> None:
    assert parse_line(line, {"a", "photo 12"}) == Entry(stem, picture)


def test_vocs_own_lists_and_the_unused_ones(tmp_path: Path) -> None:
    annotated(tmp_path, "a", "b")
    lists(tmp_path, "ImageSets/Main", train="a\n", val="b\n", trainval="a\nb\n", dog_train="a  1\n", dog_val="b -1\n")
    assert found(tmp_path) == {"train": ["ImageSets/Main/train.txt"], "val": ["ImageSets/Main/val.txt"]}
    assert unused_lists(tmp_path) == [f"ImageSets/Main/{name}.txt" for name in ("dog_train", "dog_val", "trainval")]


def test_lists_per_class_of_one_split_belong_together(tmp_path: Path) -> None:
    annotated(tmp_path, "a", "b")
    # 'train' is a class of VOC, too
    lists(tmp_path, "ImageSets/Main", dog_train="a  1\n", train_train="a -1\n", dog_val="b -1\n", train_val="b  0\n")
    assert found(tmp_path) == {
        "train": ["ImageSets/Main/dog_train.txt", "ImageSets/Main/train_train.txt"],
        "val": ["ImageSets/Main/dog_val.txt", "ImageSets/Main/train_val.txt"],
    }
    assert unused_lists(tmp_path) == []


def test_lists_at_the_top(tmp_path: Path) -> None:
    annotated(tmp_path, "a", "b")
    lists(tmp_path, ".", train="./JPEGImages/a.jpg ./Annotations/a.xml\n", valid="b.jpg b.xml\n", label_list="dog\n")
    assert found(tmp_path) == {"train": ["train.txt"], "val": ["valid.txt"]}
    assert unused_lists(tmp_path) == []


@pytest.mark.parametrize("names", [("training", "validation"), ("Train", "VAL"), ("my_train", "my-dev")])
def test_other_names_of_splits(tmp_path: Path, names: tuple[str, str]) -> None:
    annotated(tmp_path, "a", "b")
    lists(tmp_path, "ImageSets", **{names[0]: "a\n", names[1]: "b\n"})
    assert {split: len(files) for split, files in find_lists(tmp_path).items()} == {"train": 1, "val": 1}


def test_trainval_replaces_train_beside_test(tmp_path: Path) -> None:
    annotated(tmp_path, "a", "b")
    lists(tmp_path, "ImageSets/Main", trainval="a\n", test="b\n")
    assert found(tmp_path) == {"train": ["ImageSets/Main/trainval.txt"], "test": ["ImageSets/Main/test.txt"]}


def test_the_layout_of_the_oxford_pets(tmp_path: Path) -> None:
    annotated(tmp_path, "cat_1", "dog_2", folder="annotations/xmls")
    lists(
        tmp_path, "annotations", trainval="cat_1 1 1 1\n", test="dog_2 2 2 1\n", list="#Image CLASS-ID\ncat_1 1 1 1\n"
    )
    assert found(tmp_path) == {"train": ["annotations/trainval.txt"], "test": ["annotations/test.txt"]}
    assert unused_lists(tmp_path) == ["annotations/list.txt"]


def test_xml_beside_the_pictures(tmp_path: Path) -> None:
    annotated(tmp_path, "a", folder="JPEGImages")
    lists(tmp_path, "ImageSets/Main", train="a\n")
    assert find_annotations(tmp_path) == tmp_path / "JPEGImages"
    assert found(tmp_path) == {"train": ["ImageSets/Main/train.txt"]}


def test_two_lists_for_one_split(tmp_path: Path) -> None:
    annotated(tmp_path, "a", "b")
    lists(tmp_path, "ImageSets/Main", train="a\n", val="b\n", valid="b\n")
    assert found(tmp_path)["val"] == ["ImageSets/Main/val.txt"]
    lists(tmp_path, "ImageSets/Main", valid="a\n")
    with pytest.raises(DatasetError, match=r"E101 .*val\.txt, .*valid\.txt may all be the list of val.*data\.val=FILE"):
        find_lists(tmp_path)


def test_texts_that_list_no_image_are_no_lists(tmp_path: Path) -> None:
    annotated(tmp_path, "a")
    lists(tmp_path, ".", train="How to train\n", readme="This is a data set.\n")
    (tmp_path / "notes.txt").write_bytes(b"\xff\xfe\xff")
    assert found(tmp_path) == {}
    assert unused_lists(tmp_path) == []
