from __future__ import annotations

from typing import Any

import pytest

from faster_rcnn.weights.thresholds import (
    OperatingPoint,
    Thresholds,
    best_f1,
    thinned,
    with_precision,
    with_recall,
)

POINTS = (OperatingPoint(0.9, 1.0, 0.2), OperatingPoint(0.6, 0.75, 0.6), OperatingPoint(0.2, 0.5, 0.8))


def test_points_are_found_by_f1_and_by_target() -> None:
    # F1: 0.4 / 1.2 = 0.33, 0.9 / 1.35 = 0.67, 0.8 / 1.3 = 0.62
    assert best_f1(POINTS) is POINTS[1]
    assert with_precision(POINTS, 0.7) is POINTS[1]
    assert with_recall(POINTS, 0.2) is POINTS[0]
    assert with_recall(POINTS, 0.9) is with_precision((), 0.1) is best_f1(()) is None
    assert OperatingPoint(0.5, 0.0, 0.0).f1 == 0.0


def test_few_of_many_points_keep_the_ends_and_the_best() -> None:
    many = tuple(OperatingPoint(1 - place / 1000, 1 - place / 1000, place / 1000) for place in range(1000))
    kept = thinned(many)
    assert 40 <= len(kept) <= 50
    assert (kept[0], kept[-1]) == (many[0], many[-1])
    assert best_f1(kept) == best_f1(many)
    assert thinned(POINTS) == POINTS


def test_a_file_gives_back_what_was_kept() -> None:
    kept = Thresholds("val", 12, (POINTS, ()))
    assert Thresholds.from_json(kept.to_json(), 2) == kept


@pytest.mark.parametrize(
    "change",
    [{"points": [[]]}, {"points": [[[2, 0, 0]], []]}, {"points": [[["a", 0, 0]], []]}, {"split": 3}, {"images": True},
     {"points": [[[0.5, 0.5]], []]}, {"points": [[[0.5, 0.5, 0.5]] * 51, []]}],
)  # fmt: skip
def test_damaged_ones_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Thresholds.from_json({**Thresholds("val", 12, (POINTS, ())).to_json(), **change}, 2)
