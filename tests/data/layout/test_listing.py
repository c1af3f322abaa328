"""Splits in names of files and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.layout.listing import SPLITS, by_split, several_files, split_of


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("Training", "train"),
        ("instances_val2017", "val"),
        ("my-valid.set", "val"),
        ("dev", "val"),
        ("TEST", "test"),
        ("train_train", "train"),
        ("train_val", None),  # of several splits no one is chosen
        ("trainval", None),
        ("trains", None),  # whole words only
        ("latest", None),
        ("images", None),
        ("", None),
        ("2017", None),
    ],
)
def test_the_split_in_a_name(name: str, split: str | None) -> None:
    assert split_of(name) == split


def test_each_known_word_is_found_in_a_longer_name() -> None:
    assert {word: split_of(f"cells_{word}_2") for word in SPLITS} == SPLITS


def test_files_are_grouped_in_their_order() -> None:
    files = [Path(name) for name in ("train_a", "other", "val", "train_b")]
    assert by_split((split_of(file.name), file) for file in files) == {
        "train": [Path("train_a"), Path("train_b")],
        "val": [Path("val")],
    }
    assert by_split([]) == {}


def test_the_error_for_several_files_names_them_and_the_remedy() -> None:
    error = several_files([Path("data/a/val.csv"), Path("data/val.csv")], Path("data"), "val")
    assert str(error) == "E101 a/val.csv, val.csv in data may be the val split; choose one: --set data.val=FILE"
    assert error.exit_code == 2
