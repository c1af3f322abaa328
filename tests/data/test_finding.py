"""Recognition of formats and splits by the files of a folder; nothing but names and first lines decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.finding import existing, find, other_descriptions
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

CONTENTS = {
    ".json": '{"images": [], "annotations": [], "categories": []}',
    ".csv": "image,xmin,ymin,xmax,ymax,label\na.jpg,1,2,3,4,cat\n",
    ".xml": "<annotation/>",
    ".yaml": "train: images/train\nval: images/val\nnames: [cat]\n",
    ".txt": "0 0.5 0.5 1 1\n",
}


def make(root: Path, *names: str) -> Path:
    """Files with a content that fits their ending."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONTENTS.get(path.suffix, ""))
    return root


def found(data: Path, root: Path, **settings: str) -> dict[str, tuple[str, list[str]]]:
    """Format and sources of each split, relative to the root."""
    parts = find(data, root, DataConfig.model_validate(settings))
    return {
        split: (part.format, [source.relative_to(root).as_posix() for source in part.sources])
        for split, part in parts.items()
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["annotations/train.json", "annotations/val.json"], {
            "train": ("COCO JSON", ["annotations/train.json"]), "val": ("COCO JSON", ["annotations/val.json"]),
        }),
        (["cells.json"], {"train": ("COCO JSON", ["cells.json"])}),
        (["data.yaml"], {"train": ("YOLO", ["images/train"]), "val": ("YOLO", ["images/val"])}),
        (["dataset.yml.yaml", "images/train/a.jpg"], {
            "train": ("YOLO", ["images/train"]), "val": ("YOLO", ["images/val"]),
        }),
        (["Annotations/a.xml", "JPEGImages/a.jpg"], {"train": ("VOC XML", ["Annotations"])}),
        (["train/a.xml", "val/b.xml"], {"train": ("VOC XML", ["train"]), "val": ("VOC XML", ["val"])}),
        (["a.xml", "a.jpg"], {"train": ("VOC XML", ["."])}),
        (["train.csv", "test.csv"], {"train": ("CSV", ["train.csv"]), "test": ("CSV", ["test.csv"])}),
        (["boxes.csv", "a.jpg"], {"train": ("CSV", ["boxes.csv"])}),
        # Formats that name their splits come before those that do not.
        (["Annotations/a.xml", "cells.json"], {"train": ("VOC XML", ["Annotations"])}),
        (["data.yaml", "boxes.csv"], {"train": ("YOLO", ["images/train"]), "val": ("YOLO", ["images/val"])}),
        # COCO JSON without a training split does not hide a description that has one.
        (["test.json", "data.yaml"], {"train": ("YOLO", ["images/train"]), "val": ("YOLO", ["images/val"])}),
        (["test.json", "boxes.csv"], {"test": ("COCO JSON", ["test.json"])}),
    ],
)  # fmt: skip
def test_the_format_of_a_folder(tmp_path: Path, files: list[str], expected: dict[str, tuple[str, list[str]]]) -> None:
    make(tmp_path, *files)
    assert found(tmp_path, tmp_path) == expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("cells.json", {"train": ("COCO JSON", ["cells.json"])}),
        ("cells_val.json", {"val": ("COCO JSON", ["cells_val.json"])}),
        ("test.csv", {"test": ("CSV", ["test.csv"])}),
        ("mine.yaml", {"train": ("YOLO", ["images/train"]), "val": ("YOLO", ["images/val"])}),
    ],
)
def test_the_format_of_a_file(tmp_path: Path, file: str, expected: dict[str, tuple[str, list[str]]]) -> None:
    make(tmp_path, file)
    assert found(tmp_path / file, tmp_path) == expected


@pytest.mark.parametrize(
    ("file", "kind"), [("a.jpg", "an image"), ("a.xml", "one XML"), ("a.zip", "a '.zip' file"), ("a", "a '' file")]
)
def test_other_files_are_no_data(tmp_path: Path, file: str, kind: str) -> None:
    make(tmp_path, file)
    with pytest.raises(DatasetError, match=rf"^E101 .* is {kind}; labelled images are a folder or file of COCO"):
        find(tmp_path / file, tmp_path, DataConfig())


def test_settings_replace_splits_and_the_others_are_recognised(tmp_path: Path) -> None:
    make(tmp_path, "train.csv", "val.csv", "more/late.csv")
    assert found(tmp_path, tmp_path, val="more/late.csv") == {
        "train": ("CSV", ["train.csv"]),
        "val": ("CSV", ["more/late.csv"]),
    }


def test_settings_name_splits_where_none_is_recognised(tmp_path: Path) -> None:
    make(tmp_path, "one.csv", "two.csv")
    with pytest.raises(DatasetError, match=r"^E101 .*whose names contain no split"):
        find(tmp_path, tmp_path, DataConfig())
    assert found(tmp_path, tmp_path, train="one.csv") == {"train": ("CSV", ["one.csv"])}


def test_splits_of_the_settings_have_one_format(tmp_path: Path) -> None:
    make(tmp_path, "a.csv", "b.json")
    with pytest.raises(DatasetError, match=r"^E101 the splits given by --set are of different formats: COCO JSON, CSV"):
        find(tmp_path, tmp_path, DataConfig(train="a.csv", val="b.json"))


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        (["data.yaml", "lists/mine.txt"], "lists/mine.txt", ("YOLO", ["lists/mine.txt"])),
        (["data.yaml", "pictures/a.jpg"], "pictures", ("YOLO", ["pictures"])),
        (["Annotations/a.xml", "mine.txt"], "mine.txt", ("VOC XML", ["mine.txt"])),
        (["data.yaml", "xml/a.xml"], "xml", ("VOC XML", ["xml"])),
    ],
)
def test_lists_and_folders_of_the_settings(
    tmp_path: Path, files: list[str], name: str, expected: tuple[str, list[str]]
) -> None:
    make(tmp_path, *files)
    assert found(tmp_path, tmp_path, train=name)["train"] == expected


def test_a_folder_of_the_settings_without_annotations_needs_a_description(tmp_path: Path) -> None:
    make(tmp_path, "pictures/a.jpg")
    with pytest.raises(DatasetError, match=r"^E101 .*pictures \(from --set data\.train\) holds neither a COCO"):
        find(tmp_path, tmp_path, DataConfig(train="pictures"))


def test_paths_of_the_settings_start_at_the_data_or_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "data/a.csv", "here/b.csv")
    monkeypatch.chdir(tmp_path / "here")
    root = tmp_path / "data"
    assert existing("a.csv", root, "train") == root / "a.csv"
    assert existing("b.csv", root, "train") == Path("b.csv")
    with pytest.raises(DatasetError, match=r"^E101 .*aa\.csv does not exist .*train=aa\.csv\)\. Nearby: a"):
        existing("aa.csv", root, "train")


def test_other_formats_of_a_folder_are_named(tmp_path: Path) -> None:
    make(tmp_path, "annotations/train.json", "images/train/a.jpg", "data.yaml", "JPEGImages/a.xml", "boxes.csv")
    parts = find(tmp_path, tmp_path, DataConfig())
    [line] = other_descriptions(tmp_path, parts)
    assert line.startswith(
        f"{tmp_path.name} is described by {tmp_path}/annotations/train.json (COCO JSON), which is used"
    )
    for other in ("data.yaml (YOLO)", "JPEGImages (VOC XML)", "boxes.csv (CSV)"):
        assert f"{tmp_path}/{other}" in line
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "boxes.csv").unlink()
    (tmp_path / "JPEGImages" / "a.xml").unlink()
    assert other_descriptions(tmp_path, find(tmp_path, tmp_path, DataConfig())) == []


def test_a_folder_without_annotations_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    for names, text in {
        (): "it is empty",
        ("a.jpg",): "it holds images, but no annotations of objects",
        ("b.parquet",): r"it holds b\.parquet, and tables are read as CSV: save it as train\.csv",
        ("inner/train.csv",): r"a data set is in .*inner, which can be the DATA",
    }.items():
        make(tmp_path, *names)
        with pytest.raises(DatasetError, match=f"^E101 .*has no annotations that are known: {text}"):
            find(tmp_path, tmp_path, DataConfig())
