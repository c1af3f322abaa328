"""Spreads, amounts and peers of a benchmark, by hand."""

from __future__ import annotations

import pytest

from faster_rcnn.benchmark.values import Amount, Contender, Spread
from faster_rcnn.errors import OptionError


def test_percentiles_by_hand() -> None:
    # 11 values 0..10: the 10th percentile is the second one, the 90th the last but one.
    assert Spread.of([float(value) for value in range(10, -1, -1)]) == Spread(5, 1, 9)
    assert Spread.of([3.0]) == Spread(3, 3, 3)


def test_nothing_cannot_be_timed() -> None:
    for amount in ((0, 3), (1, 0)):
        with pytest.raises(OptionError, match=r"E125 \d images and \d rounds: at least one of each is timed"):
            Amount(*amount)


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (0.3, 0.6, "2.00 times as fast"),
        (0.3, 0.33, "1.10 times as fast"),
        (0.3, 0.3, "1.00 times as fast"),
        (0.3, 0.27, "11 % slower"),  # 0.3 is 1.111 times 0.27
        (0.3, 0.151, "99 % slower"),
        (0.3, 0.1, "slower by a factor of 3.00"),
    ],
)
def test_faster_and_slower_in_words(ours: float, theirs: float, words: str) -> None:
    one, other = (Contender("x", "float32", Spread(each, each, each), 1) for each in (ours, theirs))
    assert other.beside(one).startswith(f"ours is {words}, pixels to boxes: ")
