"""Few damaged images of a split are left out and logged once each; many of them stop the work."""

from __future__ import annotations

import logging

import pytest

from faster_rcnn.data.damage import DamagedImages, max_left_out
from faster_rcnn.errors import DatasetError


@pytest.mark.parametrize(
    ("images", "expected"),
    [(0, 1), (1, 1), (39, 1), (40, 2), (59, 2), (60, 3), (100, 5), (1_000, 50)],
)
def test_5_percent_may_be_left_out_rounded_down_but_always_one(images: int, expected: int) -> None:
    assert max_left_out(images) == expected


def test_each_image_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    damaged = DamagedImages("val", 100, "it is left out")
    with caplog.at_level(logging.WARNING):
        damaged.add({3: "a is damaged", 5: "b is damaged"})
        damaged.add({3: "a is damaged"})
        damaged.add({})
    assert [record.getMessage() for record in caplog.records] == [
        "a is damaged; it is left out",
        "b is damaged; it is left out",
    ]


def test_the_image_beyond_the_limit_stops_the_work() -> None:
    damaged = DamagedImages("val", 40, "it is left out")
    damaged.add({0: "a", 1: "b"})  # 40 * 5 % = 2
    damaged.add({1: "b"})
    with pytest.raises(DatasetError, match=r"^E105 3 of 40 images of val cannot be decoded, more than the 5 % .*: c\."):
        damaged.add({2: "c"})
    damaged.add({})  # nothing new


def test_a_split_without_any_usable_image_stops_the_work() -> None:
    with pytest.raises(DatasetError, match=r"^E105 1 of 1 images of test cannot be decoded"):
        DamagedImages("test", 1, "it is left out").add({0: "a"})
