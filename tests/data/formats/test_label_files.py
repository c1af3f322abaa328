"""The place of the label file of an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.formats.label_files import LabelFiles
from faster_rcnn.data.layout.folders import Folders


def touched(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/train/a.jpg", "labels/train/a.txt"),
        ("Images/train/a.jpg", "Labels/train/A.TXT"),
        ("JPEGImages/a.b.jpg", "labels/a.b.txt"),
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("images/old/images/a.jpg", "images/old/labels/a.txt"),
        ("images/a.jpg", "images/a.txt"),
        ("photos/a.jpg", "labels/a.txt"),
        ("photos/a.jpg", "photos/a.Txt"),
    ],
)
def test_places_of_label_files(tmp_path: Path, image: str, label: str) -> None:
    touched(tmp_path, image, label)
    assert LabelFiles(Folders()).of(tmp_path / image) == (tmp_path / label,)


def test_the_folder_of_labels_comes_before_texts_beside_the_image(tmp_path: Path) -> None:
    touched(tmp_path, "images/a.jpg", "images/a.txt", "labels/a.txt")
    assert LabelFiles(Folders()).of(tmp_path / "images/a.jpg") == (tmp_path / "labels/a.txt",)


@pytest.mark.parametrize("other", ["labels/b.txt", "labels/.a.txt", "labels/a.txt.bak", "elsewhere/a.txt"])
def test_no_label_file(tmp_path: Path, other: str) -> None:
    touched(tmp_path, "images/a.jpg", other)
    files = LabelFiles(Folders())
    assert files.of(tmp_path / "images/a.jpg") == ()
    assert files.expected(tmp_path / "images/a.jpg") == tmp_path / "labels/a.txt"
