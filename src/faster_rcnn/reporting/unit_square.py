"""Lines in the unit square as inline SVG: precision over recall, or precision over score.

Colours and fonts come from the style sheet of the page by class, as those of ``curves``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from faster_rcnn.reporting.curves import COLOURS, LINE_OF_TEXT, spread

WIDTH, HEIGHT = 360, 286
"""Size in units of the drawing, small enough that text stays legible on a phone, where it is 350 pixels wide."""
LEFT, RIGHT, TOP, BOTTOM = 40, 268, 14, 242
"""Borders of the square; the names of the lines are at its right."""
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
MAX_NAME = 13
"""Characters of a name that fit beside the square."""


@dataclass(frozen=True, slots=True)
class Line:
    """A name and points in the unit square, from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]
    notes: tuple[str, ...] = ()
    """A tooltip for each point, which then gets a dot; none for a plain line."""


def draw_lines(title: str, axes: tuple[str, str], lines: Sequence[Line], *, diagonal: bool = False) -> str:
    """Draw lines as an ``<svg>`` element; texts are escaped.

    Args:
        title: title for screen readers.
        axes: names of the horizontal and the vertical axis.
        lines: at most four; a single one has no name in the drawing.
        diagonal: whether the line of equal values is drawn, too.
    """
    shapes = [*_grid(axes)]
    if diagonal:
        shapes.append(f'<line class="mark" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>')
    for number, line in enumerate(lines):
        path = " ".join(f"{_x(x)},{_y(y)}" for x, y in line.points)
        dots = "".join(
            f'<circle cx="{_x(x)}" cy="{_y(y)}" r="3"><title>{escape(note)}</title></circle>'
            for (x, y), note in zip(line.points, line.notes, strict=False)
        )
        shapes.append(f'<g class="c{number % COLOURS}"><polyline points="{path}"/>{dots}</g>')
    if len(lines) > 1:
        shapes += _names(lines)
    spoken = escape(f"{title}: {', '.join(line.name for line in lines) or 'no values'}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{spoken}">{"".join(shapes)}</svg>'


def _x(value: float) -> str:
    return f"{LEFT + value * (RIGHT - LEFT):.1f}"


def _y(value: float) -> str:
    return f"{BOTTOM - value * (BOTTOM - TOP):.1f}"


def _grid(axes: tuple[str, str]) -> Iterator[str]:
    for tick in TICKS:
        x, y = _x(tick), _y(tick)
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{float(y) + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        yield f'<text class="tick" x="{x}" y="{BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
    yield f'<text class="tick" x="{_x(0.5)}" y="{BOTTOM + 36}" text-anchor="middle">{escape(axes[0])}</text>'
    yield f'<text class="tick" x="{RIGHT + 8}" y="{TOP - 2}">{escape(axes[1])}</text>'


def _names(lines: Sequence[Line]) -> Iterator[str]:
    """Names beside the last points of the lines, moved apart where two would touch."""
    ends = {number: float(_y(line.points[-1][1])) for number, line in enumerate(lines) if line.points}
    order = sorted(ends, key=lambda number: ends[number])
    heights = spread([max(ends[each], TOP + 2 * LINE_OF_TEXT) for each in order], lowest=float(BOTTOM))
    for number, y in zip(order, heights, strict=True):
        name = lines[number].name
        name = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
        yield f'<text class="name c{number % COLOURS}" x="{RIGHT + 8}" y="{y + 3.5:.1f}">{escape(name)}</text>'
