from __future__ import annotations

import re
from io import StringIO

import pytest
from rich.console import Console

from faster_rcnn.system.bars import Bars, clock, line_of

LOSSES = {"loss": 2.97, "rpn_objectness": 0.706, "rpn_box": 0.262, "roi_class": 1.68, "roi_box": 0.321, "lr": 0.0123}


class Clock:
    """A clock whose time passes when a test adds to it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(width: int, label: str, total: int | None, done: int, values: dict[str, float]) -> str:
    """The line of work that has taken a second for each step."""
    time, file = Clock(), StringIO()
    bars = Bars(console=Console(file=file, width=width, force_terminal=True, color_system=None), get_time=time)
    task = bars.add_task(label, total=total, values=values)
    for _ in range(done):
        time.now += 1.0
        bars.advance(task)
    bars.console.print(bars.make_tasks_table(bars.tasks))
    lines = file.getvalue().splitlines()
    assert len(lines) == 1
    return lines[0].rstrip()


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_what_matters_most_is_there_at_every_width(width: int) -> None:
    line = shown(width, "epoch 3/12", 41, 12, LOSSES)
    # Without colours the part of the bar that is still to come is blank.
    assert re.match("epoch 3/12  ━[━╸╺ ]{7,23}  12/41  0:29 left  loss 2.97", line), line
    assert len(line) <= width
    assert "…" not in line


def test_further_values_come_whole_and_in_order_where_there_is_room() -> None:
    # epoch 3/12 (10) + 12/41 (5) + 0:29 left (9) + loss 2.97 (10, as values have room for five letters), each with a
    # gap of 2, are 40; the bar has at least 8 and a gap: 50. rpn_objectness takes 22 (72), rpn_box 15 (87),
    # roi_class 17 (104), roi_box 15 (119), lr 11 (130).
    names = [name for name in LOSSES if name != "loss"]
    for width, count in ((71, 0), (72, 1), (86, 1), (87, 2), (104, 3), (118, 3), (119, 4), (129, 4), (130, 5)):
        line = shown(width, "epoch 3/12", 41, 12, LOSSES)
        assert [name for name in names if f"{name} " in line] == names[:count], width


def test_the_bar_takes_what_is_left_and_no_more_than_enough() -> None:
    assert line_of("images", "3/9", "0:07 left", {}, 80).bar == 24
    assert line_of("images", "3/9", "0:07 left", {}, 6 + 2 + 10 + 2 + 3 + 2 + 9).bar == 10
    assert line_of("images", "3/9", "0:07 left", {}, 6 + 2 + 8 + 2 + 3 + 2 + 9).bar == 8
    assert line_of("images", "3/9", "0:07 left", {}, 6 + 2 + 7 + 2 + 3 + 2 + 9).bar == 0


def test_a_line_without_room_for_a_bar_is_text_alone() -> None:
    assert shown(40, "epoch 3/12", 41, 12, LOSSES) == "epoch 3/12  12/41  0:29 left  loss 2.97"
    assert shown(24, "epoch 3/12", 41, 12, LOSSES) == "epoch 3/12  12/41  0:29…"


def test_finished_work_shows_its_time_and_work_of_unknown_length_the_time_so_far() -> None:
    assert shown(80, "images", 70, 70, {}).endswith("  70/70  in 1:10")
    assert shown(80, "images", None, 5, {}).endswith("  5  0:05 so far")
    assert shown(80, "images", 70, 0, {}).endswith("   0/70  -:-- left")


def test_a_clock_has_hours_where_there_are_some() -> None:
    assert [clock(seconds) for seconds in (7.2, 750, 3900)] == ["0:07", "12:30", "1:05:00"]
