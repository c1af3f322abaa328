"""Which split is meant where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.data.records import Dataset, Split
from faster_rcnn.errors import OptionError
from faster_rcnn.structures import ClassMap


def dataset(*names: str) -> Dataset:
    classes = ClassMap(("a",), (1,))
    return Dataset(Path("cells"), "COCO JSON", classes, {name: Split(name, (), classes, ()) for name in names}, names)


def test_test_goes_before_val() -> None:
    assert dataset("train", "val", "test").split().name == "test"
    assert dataset("train", "val").split().name == "val"
    assert dataset("train", "val", "test").split("train").name == "train"


def test_a_missing_split_says_which_exist() -> None:
    with pytest.raises(OptionError, match=r"cells has no split 'test'; it has: train, val.*--split") as caught:
        dataset("train", "val").split("test")
    assert caught.value.exit_code == 2
    with pytest.raises(OptionError, match="neither a test nor a val split; it has: train"):
        dataset("train").split()
