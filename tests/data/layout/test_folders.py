"""Files that are pictures, folders that are entered, and hints at absent files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn.data.layout.folders import (
    IMAGE_SUFFIXES,
    UNREAD_SUFFIXES,
    Folders,
    file_kinds,
    is_picture,
    unread_pictures,
    walk,
)
from faster_rcnn.data.reading import load_dataset
from faster_rcnn.errors import DatasetError
from faster_rcnn.inference.sources import find_images
from faster_rcnn.settings.schema import DataConfig

NO_PICTURES = {
    "MPEG": "a film",
    "FLI": "a film",
    "PDF": "pages",
    "EPS": "pages",
    "WMF": "vector graphics",
    "HDF5": "a container that Pillow has no decoder for",
    "GRIB": "a container that Pillow has no decoder for",
    "BUFR": "a container that Pillow has no decoder for",
    "IPTC": "a container",
    "PCD": "beside images, .pcd is a cloud of points",
}
"""Formats that Pillow opens and that are no pictures here, each with its reason."""


def test_every_ending_that_pillow_reads_is_a_picture() -> None:
    Image.init()
    read = {ending for ending, kind in Image.EXTENSION.items() if kind in {*Image.OPEN, "MPO"}}
    pictures = {ending for ending in read if Image.EXTENSION[ending] not in NO_PICTURES and ending != ".pfm"}
    assert sorted(pictures) == sorted(IMAGE_SUFFIXES & Image.EXTENSION.keys())
    assert IMAGE_SUFFIXES - pictures == set()  # the installed Pillow has all decoders


def test_no_ending_is_both_read_and_unread() -> None:
    assert set() == IMAGE_SUFFIXES & UNREAD_SUFFIXES
    names = ["b.HEIC", "a.nef", "c.jpg", ".hidden.heic", "notes.txt", "d.svg"]
    assert unread_pictures(names) == ["a.nef", "b.HEIC", "d.svg"]
    assert [name for name in (*names, "e.AVIF", "f.jp2", "g.tga", "._c.jpg") if is_picture(name)] == [
        "c.jpg",
        "e.AVIF",
        "f.jp2",
        "g.tga",
    ]


def test_a_file_that_an_absent_one_may_have_been_meant_to_be(tmp_path: Path) -> None:
    for name in ("B.JPG", "a.png", "a.jpg", "c.txt"):
        (tmp_path / name).touch()
    folders = Folders()
    assert folders.hint(tmp_path / "b.jpg") == " (a file 'B.JPG' exists: letter case?)"
    assert folders.hint(tmp_path / "a.bmp") == " (a file 'a.jpg' exists: another ending)"
    assert folders.hint(tmp_path / "c.jpg") == folders.hint(tmp_path / "none" / "c.jpg") == ""


def test_absent_files_are_not_compared_with_each_file_of_their_folder(tmp_path: Path) -> None:
    for number in range(500):
        (tmp_path / f"{number}.png").touch()
    folders = Folders()
    # Names sorted and compared for each file anew would take some milliseconds each.
    assert {folders.hint(tmp_path / f"{number}.jpg") for number in range(500, 4000)} == {""}


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("b/d.png", "a.jp2", "._a.jp2", ".cache/x.png", "b/.ipynb_checkpoints/y.png", "b/c/z.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    folders = Folders()
    assert folders.images(tmp_path) == ["a.jp2"]
    assert folders.below(tmp_path) == [tmp_path / "b", tmp_path / "b" / "c"]
    assert folders.below(tmp_path / "absent") == []


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with 1,200 nested folders, more levels than Python's stack has."""
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    yield tmp_path / "deep"
    for _ in range(1200):  # what removes the folders of tests calls itself for each level
        os.chdir("..")
        os.rmdir("d")


def test_folders_of_any_depth_are_walked(deep: Path) -> None:
    (deep / "a.png").touch()
    (deep / "link").symlink_to(deep)
    assert len(Folders().below(deep)) == 1201
    names = {place: (folders, files) for place, folders, files in walk(deep)}
    assert (sorted(names[str(deep)][0]), names[str(deep)][1]) == (["d", "link"], ["a.png"])
    assert find_images([str(deep)]).names == (str(deep / "a.png"),)
    with pytest.raises(DatasetError, match="it holds images, but no annotations of objects"):
        load_dataset(deep, DataConfig())
    (deep / "a.png").unlink()
    (deep / "link").unlink()
    with pytest.raises(DatasetError, match="no annotations that are known: it holds d"):
        load_dataset(deep, DataConfig())


def test_files_are_counted_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.JPG", "c.txt", "README", "inner/d.txt", ".git/e.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert file_kinds(tmp_path) == {".jpg": 2, ".txt": 2, "README": 1}
    assert file_kinds(tmp_path, max_folders=1) == {".jpg": 2, ".txt": 1, "README": 1}
    assert file_kinds(tmp_path / "absent") == {}
