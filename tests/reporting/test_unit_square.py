from __future__ import annotations

import re

from faster_rcnn.reporting.unit_square import Line, draw_lines


def test_points_are_at_their_places() -> None:
    line = Line("one", ((0.0, 0.0), (0.5, 0.25), (1.0, 1.0)), ("a<", "b", "c"))
    drawing = draw_lines("title", ("x & y", "<y>"), [line])
    # The square is 228 units wide from 40 on, and ends at 242 below.
    assert '<polyline points="40.0,242.0 154.0,185.0 268.0,14.0"/>' in drawing
    assert drawing.count("<circle") == 3
    assert "a&lt;" in drawing
    assert "x &amp; y" in drawing
    assert "&lt;y&gt;" in drawing
    assert 'class="name' not in drawing


def test_several_lines_have_names_that_do_not_touch() -> None:
    lines = [Line(name, ((0.0, 0.5), (1.0, 0.5))) for name in ("first", "second", "a very long name of a class")]
    drawing = draw_lines("title", ("x", "y"), lines, diagonal=True)
    heights = sorted(float(each) for each in re.findall(r'class="name c." x="276" y="([0-9.]+)"', drawing))
    assert len(heights) == 3
    assert min(heights[1] - heights[0], heights[2] - heights[1]) >= 12.9
    assert "a very long …" in drawing
    assert drawing.count('class="mark"') == 1


def test_nothing_is_drawn_of_nothing() -> None:
    assert "no values" in draw_lines("title", ("x", "y"), [])
