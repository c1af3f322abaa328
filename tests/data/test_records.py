"""The split that is used where none is named."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from faster_rcnn.data.records import Dataset, ImageRecord, Split, evenly_spread, with_truths
from faster_rcnn.errors import OptionError
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize


def dataset(*names: str) -> Dataset:
    classes = ClassMap(("a",), (1,))
    return Dataset(Path("cells"), "COCO JSON", classes, {name: Split(name, (), classes, ()) for name in names}, names)


def test_test_is_preferred_to_val() -> None:
    assert dataset("train", "val", "test").split().name == "test"
    assert dataset("train", "val").split().name == "val"
    assert dataset("train", "val", "test").split("train").name == "train"


def test_a_missing_split_says_which_exist() -> None:
    with pytest.raises(OptionError, match=r"cells has no split 'test'; it has: train, val.*--split") as caught:
        dataset("train", "val").split("test")
    assert caught.value.exit_code == 2
    with pytest.raises(OptionError, match="neither a test nor a val split; it has: train"):
        dataset("train").split()


def test_truths_are_chosen_with_all_that_belongs_to_them() -> None:
    boxes = torch.tensor([[1.0, 2, 3, 5], [4, 4, 9, 9], [0, 0, 7, 2]])
    truth = GroundTruth(boxes, torch.tensor([4, 5, 6]), torch.tensor([False, True, False]))
    areas = torch.tensor([6.0, 25, 14], dtype=torch.float64)
    xywh = torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), dim=1).double()
    record = ImageRecord(Path("a.jpg"), "a.jpg", 1, ImageSize(10, 10), truth, areas, xywh)
    for rows in (torch.tensor([False, True, True]), torch.tensor([1, 2])):
        some = with_truths(record, rows)
        assert some.truth.boxes.tolist() == boxes[1:].tolist()
        assert (some.truth.labels.tolist(), some.truth.ignored.tolist()) == ([5, 6], [True, False])
        assert (some.areas.tolist(), some.boxes_xywh.tolist()) == ([25, 14], [[4, 4, 5, 5], [0, 0, 7, 2]])
        assert with_truths(record, rows, torch.tensor([0, 9])).truth.labels.tolist() == [0, 9]


def test_items_are_spread_by_hand() -> None:
    assert evenly_spread([], 8) == []
    assert evenly_spread("abc", 8) == ["a", "b", "c"]
    assert evenly_spread(range(8), 8) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert evenly_spread(range(73), 8) == [0, 9, 18, 27, 36, 45, 54, 63]  # multiples of 73 / 8 = 9.125, rounded down


@pytest.mark.parametrize("count", [1, 7, 32, 63, 64, 100])
def test_items_are_spread_from_the_first_to_the_end(count: int) -> None:
    places = evenly_spread(range(63), count)
    assert len(places) == min(count, 63)
    steps = [after - before for before, after in pairwise(places)]
    assert max(steps, default=1) - min(steps, default=1) <= 1
    assert places[0] == 0
    assert 63 - places[-1] <= max(steps, default=63)
