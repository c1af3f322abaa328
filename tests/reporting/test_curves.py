"""Curves as SVG: round ticks, names apart, gaps, escaping."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.reporting.curves import (
    BOTTOM,
    COLOURS,
    LEFT,
    RIGHT,
    TOP,
    Curve,
    draw_curves,
    epoch_ticks,
    round_ticks,
    spread,
)


def shapes(svg: str, kind: str) -> list[ElementTree.Element]:
    """Elements of one kind; fails on anything that is not XML."""
    return list(ElementTree.fromstring(svg).iter(kind))


def texts(svg: str) -> list[str | None]:
    return [each.text for each in shapes(svg, "text")]


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [
        (0.0, [0, 1]),
        (1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.92, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.02, [0, 0.005, 0.01, 0.015, 0.02]),  # a step of 0.004 is not round
        (1.1, [0, 0.25, 0.5, 0.75, 1.0, 1.25]),
        (37.0, [0, 10, 20, 30, 40]),
        (3e-6, [0, 1e-6, 2e-6, 3e-6]),
    ],
)
def test_ticks_are_round_numbers(largest: float, ticks: list[float]) -> None:
    assert round_ticks(largest) == pytest.approx(ticks)


@given(st.floats(1e-9, 1e9))
def test_ticks_reach_the_largest_value_and_not_far_beyond(largest: float) -> None:
    ticks = round_ticks(largest)
    assert 2 <= len(ticks) <= 6
    assert ticks[-1] >= largest * (1 - 1e-6)
    assert ticks[-2] < largest


def test_epochs_under_the_axis() -> None:
    assert epoch_ticks(1) == [1]
    assert epoch_ticks(8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert epoch_ticks(12) == [2, 4, 6, 8, 10, 12]
    assert epoch_ticks(26) == [1, 5, 10, 15, 20, 25]
    assert epoch_ticks(300) == [1, 50, 100, 150, 200, 250, 300]


@given(st.lists(st.floats(TOP, BOTTOM), max_size=COLOURS).map(sorted))
def test_names_are_apart_and_inside(places: list[float]) -> None:
    apart = spread(places, distance=13, lowest=BOTTOM)
    assert all(upper + 13 <= lower + 1e-9 for upper, lower in pairwise(apart))
    assert all(place <= BOTTOM for place in apart)


def test_names_that_have_room_stay_where_they_are() -> None:
    assert spread([20, 50, 120], distance=13, lowest=190) == [20, 50, 120]
    assert spread([50, 52, 180, 188], distance=13, lowest=190) == [50, 63, 177, 190]


def test_points_are_where_their_values_are() -> None:
    svg = draw_curves("Accuracy", [Curve("AP", (0.0, 0.5, 1.0)), Curve("AP50", (1.0, 1.0, 1.0))])
    lines = [each.get("points") for each in shapes(svg, "polyline")]
    middle = (LEFT + RIGHT) / 2
    assert lines == [
        f"{LEFT:.1f},{BOTTOM:.1f} {middle:.1f},{(TOP + BOTTOM) / 2:.1f} {RIGHT:.1f},{TOP:.1f}",
        f"{LEFT:.1f},{TOP:.1f} {middle:.1f},{TOP:.1f} {RIGHT:.1f},{TOP:.1f}",
    ]
    assert texts(svg)[-2:] == ["AP50", "AP"] or texts(svg)[-2:] == ["AP", "AP50"]
    assert [each.text for each in shapes(svg, "title")][1] == "AP, epoch 2: 0.5"


def test_a_line_is_broken_where_there_is_no_value() -> None:
    svg = draw_curves("Accuracy", [Curve("AP", (0.1, 0.2, None, 0.3, None, 0.4, 0.5))])
    assert [len(str(each.get("points")).split()) for each in shapes(svg, "polyline")] == [2, 2]
    assert len(shapes(svg, "circle")) == 5


def test_many_epochs_have_no_dots_but_a_lone_value_has() -> None:
    svg = draw_curves("Accuracy", [Curve("AP", (0.5, *([None] * 50), *([0.6] * 50)))])
    assert len(shapes(svg, "circle")) == 1
    assert len(shapes(svg, "polyline")) == 1


def test_one_epoch_is_a_dot_in_the_middle_without_a_mark() -> None:
    svg = draw_curves("Accuracy", [Curve("AP", (0.5,))], best=0)
    assert shapes(svg, "polyline") == []
    assert [each.get("cx") for each in shapes(svg, "circle")] == [f"{(LEFT + RIGHT) / 2:.1f}"]
    assert "best" not in texts(svg)


def test_the_best_epoch_is_marked() -> None:
    svg = draw_curves("Accuracy", [Curve("AP", (0.5, 0.7, 0.6))], best=1)
    marks = [each for each in shapes(svg, "line") if each.get("class") == "mark"]
    assert [each.get("x1") for each in marks] == [f"{(LEFT + RIGHT) / 2:.1f}"]
    assert "best" in texts(svg)


def test_curves_without_any_value_are_no_fault() -> None:
    svg = draw_curves("Accuracy", [Curve("AP", (None, None)), Curve("AP50", (None, None))])
    assert shapes(svg, "polyline") == []
    assert ElementTree.fromstring(svg).get("aria-label") == "Accuracy: no values"


def test_drawings_to_be_compared_have_one_scale() -> None:
    low, high = Curve("val", (0.1, 0.1)), Curve("train", (4.0, 2.0))
    assert "4" in texts(draw_curves("low", [low], top=4.0))
    assert "4" in texts(draw_curves("high", [high], top=4.0))


def test_names_and_the_text_for_screen_readers_are_escaped() -> None:
    svg = draw_curves('"><script>', [Curve("<b>&", (0.5, 0.6)), Curve("other", (0.5, 0.7))])
    assert "<script>" not in svg
    assert "<b>&" in texts(svg)
    assert ElementTree.fromstring(svg).get("aria-label") == '"><script>: <b>& from 0.5 to 0.6, other from 0.5 to 0.7'
