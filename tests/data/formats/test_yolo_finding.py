"""The file that describes a YOLO data set, and the places that its paths lead to."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from faster_rcnn.data.formats import yolo_description, yolo_finding
from faster_rcnn.data.formats.yolo_description import describe
from faster_rcnn.data.formats.yolo_finding import find_description, find_splits, sources
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig


def add(image: Path, labels: Path, text: str = "0 0.5 0.5 1 1\n") -> None:
    image.parent.mkdir(parents=True, exist_ok=True)
    labels.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10)).save(image)
    labels.write_text(text)


def counts(data: Path) -> dict[str, int]:
    return {name: len(split.records) for name, split in load_dataset(data, DataConfig()).splits.items()}


def usual(root: Path, description: str) -> Path:
    for split, names in (("train", "ab"), ("val", "c")):
        for name in names:
            add(root / "images" / split / f"{name}.png", root / "labels" / split / f"{name}.txt")
    (root / "data.yaml").write_text(f"{description}\nnames: [cat]\n")
    return root


@pytest.mark.parametrize(
    "description",
    [
        "train: images\\train\nval: .\\images\\val",
        "train: /home/me/set/images/train\nval: /home/me/set/images/val",
        "train: D:\\sets\\mine\\images\\train\nval: D:/sets/mine/images/val",
        "path: /home/me/sets/mine\ntrain: images/train\nval: images/val",
        "path: C:\\sets\\mine\ntrain: images/train\nval: images/val",
        "train: images/train/*.png\nval: 'images/v[a]l/'",
        "train: ['images/*rain']\nval: images/val/c.png",
        "train: [images/train/a.png, images/train/b.png]\nval: images/val",
        "TRAIN: images/train\nVal: images/val",
        "train: /content/images/train/*.png\nval: images/val",
    ],
)
def test_ways_to_write_paths(tmp_path: Path, description: str) -> None:
    assert counts(usual(tmp_path, description)) == {"train": 2, "val": 1}


def test_a_description_beside_the_folder_that_it_names(tmp_path: Path) -> None:
    usual(tmp_path / "datasets" / "tiny", "train: x")
    (tmp_path / "datasets" / "tiny" / "data.yaml").unlink()
    text = "path: ../datasets/tiny  # dataset root dir\ntrain: images/train\nval: images/val\ntest:  # optional\n"
    (tmp_path / "datasets" / "tiny.yaml").write_text(f"{text}\nnames:\n  0: cat\ndownload: https://nowhere/tiny.zip\n")
    assert counts(tmp_path / "datasets" / "tiny.yaml") == {"train": 2, "val": 1}


@pytest.mark.parametrize("path", ["/", "\\", "//", "/usr/.."])
def test_the_whole_disk_is_no_folder_of_images(tmp_path: Path, path: str) -> None:
    usual(tmp_path, f"train: images/train\nval: {path}")
    with pytest.raises(DatasetError, match=r"E101 .*data\.yaml has 'val: .*', which is the whole file system; name a"):
        counts(tmp_path)


@pytest.mark.parametrize("path", ["x" * 5000, "images/**x/[", "/**/*.png", "'a\0b'", "**/" * 30 + "none", "[", "/*"])
def test_paths_and_patterns_that_lead_nowhere(tmp_path: Path, path: str) -> None:
    usual(tmp_path, f"train: images/train\nval: {path!r}" if "'" not in path else 'train: images/train\nval: "a\\0b"')
    with pytest.raises(DatasetError, match=r"E101 .*does not exist \(from 'val: ") as caught:
        counts(tmp_path)
    assert len(str(caught.value)) < 800


def test_foreign_paths_are_reported(tmp_path: Path) -> None:
    usual(tmp_path, "train: /home/me/set/images/train\nval: images/val")
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert any("'train: /home/me/set/images/train', which is read from" in note for note in notes)


def test_the_last_part_of_a_foreign_path_may_be_that_of_another_split(tmp_path: Path) -> None:
    usual(tmp_path, "train: images/train\nval: images/val\ntest: /home/me/set/test/images")
    [test] = find_splits(describe(tmp_path / "data.yaml"))["test"]
    assert not test.exists()


def test_a_path_that_fits_twice_is_reported(tmp_path: Path) -> None:
    mine = usual(tmp_path / "mine", "train: ../images/train\nval: images/val")
    add(tmp_path / "images" / "train" / "other.png", tmp_path / "labels" / "train" / "other.txt")
    found = sources(describe(mine / "data.yaml"), "train")
    assert [path.resolve() for path in found.paths] == [tmp_path / "images" / "train"]
    assert "exists, too, and is not used" in found.notes[0]


def test_a_pattern_that_is_longer_than_any_path_fits_nothing(tmp_path: Path) -> None:
    """60,000 brackets took 20 seconds."""
    data, start = usual(tmp_path, f"train: t{'[' * 60_000}*\nval: images/val"), time.process_time()
    with pytest.raises(DatasetError, match=r"^E101 .*data\.yaml"):
        load_dataset(data, DataConfig())
    assert time.process_time() - start < 5


def test_a_description_is_parsed_once_for_all_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual(tmp_path, "train: images/train\nval: images/val\ntest: images/val")
    parsed: list[Path] = []
    load = yolo_description.load_yaml

    def counted(file: Path) -> dict[str, Any]:
        parsed.append(file)
        return load(file)

    monkeypatch.setattr(yolo_description, "load_yaml", counted)
    monkeypatch.setattr(yolo_finding, "load_yaml", counted)
    for data in (tmp_path, tmp_path / "data.yaml"):
        assert counts(data) == {"train": 2, "val": 1, "test": 1}
    assert parsed == [tmp_path / "data.yaml"] * 2


def test_several_descriptions_are_not_chosen_from(tmp_path: Path) -> None:
    usual(tmp_path, "train: images/train")
    (tmp_path / "data.yaml").rename(tmp_path / "b.yaml")
    (tmp_path / "hyp.yaml").write_text("lr0: 0.01\n")
    found = find_description(tmp_path)
    assert found is not None
    assert found.file == tmp_path / "b.yaml"
    (tmp_path / "a.yml").write_text("train: images/val\nnames: [dog]\n")
    with pytest.raises(DatasetError, match=r"E101 .*several files that may describe the data: b\.yaml, a\.yml; .*DATA"):
        find_description(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat]\n")
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert any(note.startswith("data.yaml describes the data; not used: b.yaml, a.yml") for note in notes)


@pytest.mark.parametrize("place", [".", "labels"])
def test_a_list_of_classes_describes_labels_beside_images(tmp_path: Path, place: str) -> None:
    """Label Studio writes it to the folder above, LabelImg beside the labels."""
    add(tmp_path / "images" / "a.png", tmp_path / "labels" / "a.txt", "1 0.5 0.5 1 1\n")
    (tmp_path / place / "classes.txt").write_text("cat\nhot dog\n")
    (tmp_path / "notes.json").write_text("{}")
    dataset = load_dataset(tmp_path, DataConfig())
    assert dataset.classes.names == ("cat", "hot dog")
    assert dataset.splits["train"].records[0].truth.labels.tolist() == [1]


def test_a_list_of_classes_with_a_folder_per_split(tmp_path: Path) -> None:
    usual(tmp_path, "train: x")
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text("cat\n")
    assert counts(tmp_path) == {"train": 2, "val": 1}


def test_a_list_of_classes_without_labels_is_no_yolo(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\n")
    (tmp_path / "notes.txt").write_text("0 images were lost\n")
    assert find_description(tmp_path) is None


def test_darknets_files(tmp_path: Path) -> None:
    """As CVAT writes them: paths start in darknet's own folder."""
    for name in "ab":
        add(tmp_path / "obj_train_data" / f"{name}.png", tmp_path / "obj_train_data" / f"{name}.txt")
    add(tmp_path / "obj_valid_data" / "c.png", tmp_path / "obj_valid_data" / "c.txt")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.png\ndata/obj_train_data/b.png\n")
    (tmp_path / "valid.txt").write_text("data/obj_valid_data/c.png\n")
    (tmp_path / "obj.names").write_text("cat\n")
    lines = "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\nbackup = backup/\n"
    (tmp_path / "obj.data").write_text(lines)
    for data in (tmp_path, tmp_path / "obj.data"):
        assert counts(data) == {"train": 2, "val": 1}


def test_labels_without_a_description_get_the_lines_to_write(tmp_path: Path) -> None:
    usual(tmp_path, "train: x")
    (tmp_path / "data.yaml").unlink()
    lines = r"write .*data\.yaml with the lines 'train: images/train', 'val: images/val' and 'names: \[FIRST, SECOND\]'"
    with pytest.raises(DatasetError, match=rf"E101 .*looks like YOLO, but has no data\.yaml: {lines}"):
        load_dataset(tmp_path, DataConfig())
