"""YOLO: shares of the image become pixels, by the true size of the image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.settings.schema import DataConfig

NAMES = "names: [cat, dog]\n"


def add(root: Path, split: str, name: str, labels: str | None, size: tuple[int, int] = (200, 100)) -> None:
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(root / "images" / split / f"{name}.png")
    if labels is not None:
        (root / "labels" / split / f"{name}.txt").write_text(labels)


def has_note(notes: Iterable[str], text: str) -> bool:
    return any(text in note for note in notes)


def small_set(root: Path, description: str = "train: images/train\nval: images/val\n" + NAMES) -> Path:
    add(root, "train", "b", "1 0.5 0.5 0.25 0.5\n0 0.1 0.2 0.1 0.2\n")
    add(root, "train", "a", "")
    add(root, "val", "c", "0 0.5 0.5 1 1\n", (50, 40))
    (root / "data.yaml").write_text(description)
    return root


def test_a_small_set_by_hand(tmp_path: Path) -> None:
    dataset = load_dataset(small_set(tmp_path), DataConfig())
    assert dataset.format == "YOLO"
    assert (dataset.classes.names, dataset.classes.ids) == (("cat", "dog"), (0, 1))
    empty, full = dataset.splits["train"].records
    assert (empty.file_name, empty.image_id, full.file_name) == ("images/train/a.png", 1, "images/train/b.png")
    assert len(empty.truth.labels) == 0
    # centre 0.5, width 0.25 of 200 pixels: 100 -+ 25; centre 0.5, height 0.5 of 100: 50 -+ 25
    assert full.truth.boxes[0].tolist() == [75, 25, 125, 75]
    # 0.1 * 200 -+ 10 = 10..30; 0.2 * 100 -+ 10 = 10..30
    assert full.truth.boxes[1].tolist() == pytest.approx([10, 10, 30, 30], abs=1e-5)
    assert full.truth.labels.tolist() == [1, 0]
    assert dataset.splits["val"].records[0].truth.boxes.tolist() == [[0, 0, 50, 40]]


@pytest.mark.parametrize(
    "description",
    [
        "path: .\ntrain: images/train\nvalid: images/val\nnc: 2\n" + NAMES,
        "train: ../images/train\nval: ../images/val\n" + NAMES,
        "train: [images/train]\nval: val.txt\nnames: {0: cat, 1: dog}\n",
        "path: /nowhere/else\ntrain: images/train\nval: images/val\n" + NAMES,
    ],
)
def test_ways_to_write_the_description(tmp_path: Path, description: str) -> None:
    small_set(tmp_path, description)
    (tmp_path / "val.txt").write_text("images/val/c.png\n")
    for data in (tmp_path, tmp_path / "data.yaml"):
        dataset = load_dataset(data, DataConfig())
        assert {name: len(split.records) for name, split in dataset.splits.items()} == {"train": 2, "val": 1}


def test_a_polygon_gives_the_box_around_it(tmp_path: Path) -> None:
    add(tmp_path, "train", "a", "0 0.1 0.2 0.3 0.2 0.2 0.6\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nnames: [cat]\n")
    boxes = load_dataset(tmp_path, DataConfig()).splits["train"].records[0].truth.boxes
    assert boxes[0].tolist() == pytest.approx([20, 20, 60, 60], abs=1e-4)


def test_labels_beside_their_images(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    Image.new("RGB", (10, 10)).save(tmp_path / "train" / "a.png")
    (tmp_path / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5")
    (tmp_path / "data.yaml").write_text("train: train\nnames: [cat]\n")
    assert load_dataset(tmp_path, DataConfig()).splits["train"].records[0].truth.boxes.tolist() == [
        [2.5, 2.5, 7.5, 7.5]
    ]


def test_an_absent_label_file_means_background_and_is_reported(tmp_path: Path) -> None:
    small_set(tmp_path)
    add(tmp_path, "train", "c", None)
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [len(record.truth.labels) for record in split.records] == [0, 2, 0]
    assert has_note(
        split.notes, "images of train without a label file, used as background: 1 of 3 (images/train/c.png)"
    )
    assert has_note(split.notes, "--set data.missing_labels=error")


def test_an_absent_label_file_is_a_fault_where_the_setting_says_so(tmp_path: Path) -> None:
    small_set(tmp_path)
    add(tmp_path, "train", "c", None)
    split = load_dataset(tmp_path, DataConfig(missing_labels="error")).splits["train"]
    assert len(split.records) == 2
    assert split.faults[0].startswith("E104 images/train/c.png has no label file labels/train/c.txt")
    add(tmp_path, "train", "d", None)
    with pytest.raises(DatasetError, match=r"E104 2 of 4 images of train.*needs an empty one"):
        load_dataset(tmp_path, DataConfig(missing_labels="error"))


@pytest.mark.parametrize("missing_labels", ["background", "error"])
def test_a_split_without_any_label_file_is_no_background(
    tmp_path: Path, missing_labels: Literal["background", "error"]
) -> None:
    small_set(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "annotations of the images")
    with pytest.raises(
        DatasetError, match=r"E104 none of the 2 images of train has a label file: .*labels/train/a\.txt"
    ):
        load_dataset(tmp_path, DataConfig(missing_labels=missing_labels))


def test_labels_without_a_picture_are_counted(tmp_path: Path) -> None:
    small_set(tmp_path)
    for name in ("a", "b"):
        (tmp_path / "images" / "train" / f"{name}.png").unlink()
    add(tmp_path, "train", "kept", "0 0.5 0.5 1 1\n")
    (tmp_path / "labels" / "train" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "images" / "train" / "b.heic").write_bytes(b"")
    (tmp_path / "labels" / "train" / "inner").mkdir()
    (tmp_path / "labels" / "train" / "inner" / "z.txt").write_text("1 0.5 0.5 1 1\n")
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    # a is empty, b has two boxes, inner/z one
    expected = "label files without a picture that is read: 3, with 3 boxes (labels/train/a.txt, labels/train/b.txt, "
    assert has_note(notes, expected)


def test_labels_of_another_list_are_not_without_picture(tmp_path: Path) -> None:
    small_set(tmp_path, "train: train.txt\n" + NAMES)
    (tmp_path / "train.txt").write_text("images/train/b.png\n")
    assert not has_note(load_dataset(tmp_path, DataConfig()).splits["train"].notes, "without a picture")


def test_two_pictures_of_one_label_file_are_reported(tmp_path: Path) -> None:
    small_set(tmp_path)
    Image.new("RGB", (200, 100), (200, 30, 30)).save(tmp_path / "images" / "train" / "b.jpg")
    notes = load_dataset(tmp_path, DataConfig()).splits["train"].notes
    assert has_note(
        notes, "share, so that each one gets the boxes: 1 (b.txt of images/train/b.jpg, images/train/b.png)"
    )


def test_letter_case_of_folders_and_endings_does_not_matter(tmp_path: Path) -> None:
    small_set(tmp_path, "train: Images/train\nval: Images/val\n" + NAMES)
    (tmp_path / "images").rename(tmp_path / "Images")
    (tmp_path / "labels").rename(tmp_path / "LABELS")
    for name in ("a", "b"):
        (tmp_path / "LABELS" / "train" / f"{name}.txt").rename(tmp_path / "LABELS" / "train" / f"{name}.TXT")
    assert [len(record.truth.labels) for record in load_dataset(tmp_path, DataConfig()).splits["train"].records] == [
        0,
        2,
    ]


def test_label_files_that_differ_only_in_letter_case_are_ambiguous(tmp_path: Path) -> None:
    small_set(tmp_path)
    folder = tmp_path / "labels" / "train"
    (folder / "a.txt").rename(folder / "a.TXT")
    (folder / "A.txt").write_text("0 0.5 0.5 1 1\n")
    if len(list(folder.iterdir())) < 3:
        pytest.skip("this file system ignores letter case")
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert split.faults == ("E104 images/train/a.png has 2 label files: A.txt, a.TXT; keep one",)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    small_set(tmp_path)
    for name in ("images/train/._a.png", "labels/train/._a.txt", "labels/train/.b.txt"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07Mac OS X")
    checkpoints = tmp_path / "images" / "train" / ".ipynb_checkpoints"
    checkpoints.mkdir()
    Image.new("RGB", (9, 9)).save(checkpoints / "a-checkpoint.png")
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [record.file_name for record in split.records] == ["images/train/a.png", "images/train/b.png"]
    assert not has_note(split.notes, "without a")


def test_lines_of_a_list_are_used_or_counted(tmp_path: Path) -> None:
    small_set(tmp_path, "train: train.txt\n" + NAMES)
    lines = [".\\images\\train\\a.png", "/home/me/set/images/train/b.png", "images/train/c.heic", "images/train/a.mp4"]
    (tmp_path / "train.txt").write_bytes("\r\n".join([*lines, lines[0], ""]).encode("utf-16"))
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [record.file_name for record in split.records] == ["images/train/a.png", "images/train/b.png"]
    assert has_note(split.notes, "lines of train.txt that name no picture that is read: 2 (images/train/a.mp4")
    assert has_note(split.notes, "images that train.txt lists more than once, read once: 1")
    assert has_note(split.notes, "backslashes")


def test_labels_in_another_encoding_exclude_their_image(tmp_path: Path) -> None:
    small_set(tmp_path)
    (tmp_path / "labels" / "train" / "a.txt").write_bytes(b"0 0.5 0.5 0.1 0.1\xa0\n")
    (tmp_path / "labels" / "train" / "b.txt").write_bytes("1 0.5 0.5 1 1\n".encode("utf-16"))
    split = load_dataset(tmp_path, DataConfig()).splits["train"]
    assert [record.truth.boxes.tolist() for record in split.records] == [[[0, 0, 200, 100]]]
    assert "byte 17 (0xA0, line 1)" in split.faults[0]


def test_class_beyond_the_names_says_which_line(tmp_path: Path) -> None:
    small_set(tmp_path)
    add(tmp_path, "train", "b", "0 0.5 0.5 0.1 0.1\n\n12 0.5 0.5 0.1 0.1\n")
    with pytest.raises(DatasetError, match=r"E111 labels/train/b\.txt line 3: class 12, but data\.yaml names 2 .*0-1"):
        load_dataset(tmp_path, DataConfig())


def test_pixels_instead_of_shares(tmp_path: Path) -> None:
    small_set(tmp_path)
    add(tmp_path, "train", "b", "0 50 50 20 20\n1 60 50 20 20\n")
    with pytest.raises(DatasetError, match=r"E111 labels/train/b\.txt line 1: \[50, 50, 20, 20\] are pixels"):
        load_dataset(tmp_path, DataConfig())


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ("train: images/train\n", "data.yaml has no class names: add the line 'names: .FIRST, SECOND.'"),
        (NAMES, "E101 .*names no images"),
        (
            "train: images/nowhere\n" + NAMES,
            r"E101 .*does not exist \(from 'train: images/nowhere'.*data\.train=FOLDER",
        ),
        ("train: images/train\nnc: 3\n" + NAMES, "E111 .*nc: 3, but lists 2 names"),
        (
            "train: images/train\nnames: [cat, cat]\n",
            r"E113 .*data\.yaml: several classes have the name 'cat' \(numbers 0, 1\)",
        ),
        ("train: [images\nnames: {", r"E102 .*not valid YAML at line \d+ column \d+"),
    ],
)
def test_bad_descriptions(tmp_path: Path, description: str, message: str) -> None:
    small_set(tmp_path, description)
    with pytest.raises(DatasetError, match=message):
        load_dataset(tmp_path, DataConfig())


def test_detections_instead_of_labels(tmp_path: Path) -> None:
    small_set(tmp_path)
    add(tmp_path, "train", "b", "0 0.5 0.5 0.1 0.1 0.93\n")
    with pytest.raises(DatasetError, match=r"E103 .*b\.txt line 1 has 6 values.*score"):
        load_dataset(tmp_path, DataConfig())


def test_an_unused_background_name_is_skipped(tmp_path: Path) -> None:
    small_set(tmp_path, "train: images/train\nnames: [cat, dog, background]\n")
    dataset = load_dataset(tmp_path, DataConfig())
    assert dataset.classes.names == ("cat", "dog")
    assert any(note.startswith("category 'background' (id 2)") for note in dataset.splits["train"].notes)
