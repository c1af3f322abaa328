"""Curves over epochs as inline SVG: lines, ticks at round numbers, and names at the ends of the lines.

Colours and fonts come from the style sheet of the page by class (``c0`` to ``c3``), which has others for dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

WIDTH, HEIGHT = 360, 216
"""Size in units of the drawing, small enough that text stays legible on a phone, where it is 330 pixels wide."""
LEFT, RIGHT, TOP, BOTTOM = 42, 260, 18, 190
"""Borders of the area of the lines; the names of the lines are at its right."""

LINE_OF_TEXT = 13.0
"""Minimum vertical distance between two names."""
MAX_DOTS = 40
"""Maximum number of epochs with a dot each; more dots would hide the line."""
COLOURS = 4
"""Number of colours in the style sheet of the page."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A name and one value per epoch, 0 or more; ``None`` for an epoch without a value."""

    name: str
    values: tuple[float | None, ...]

    def known(self) -> list[tuple[int, float]]:
        """Pairs of the index of an epoch and its value, without epochs that have none."""
        return [(index, value) for index, value in enumerate(self.values) if value is not None]


@dataclass(frozen=True, slots=True)
class _Plane:
    """Map of epochs, by index, and values to coordinates of the drawing."""

    epochs: int
    top: float

    def x(self, index: int) -> float:
        share = index / (self.epochs - 1) if self.epochs > 1 else 0.5
        return LEFT + share * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        return BOTTOM - value / self.top * (BOTTOM - TOP)


def highest(curves: Sequence[Curve]) -> float:
    """The largest value of all curves; 0 where there is none."""
    return max((value for curve in curves for _, value in curve.known()), default=0.0)


def draw_curves(title: str, curves: Sequence[Curve], best: int | None = None, top: float | None = None) -> str:
    """Draw curves as an ``<svg>`` element, from 0 to a round number above the largest value; texts are escaped.

    Args:
        title: title for screen readers.
        curves: at most four, all of the same length, 1 or more.
        best: index of the epoch to mark.
        top: value that the axis must reach, so that drawings can be compared; by default the largest of the curves.
    """
    ticks = round_ticks(highest(curves) if top is None else top)
    plane = _Plane(len(curves[0].values), ticks[-1])
    shapes = [*_value_axis(plane, ticks), *_epoch_axis(plane)]
    if best is not None and plane.epochs > 1:
        shapes.append(_mark(plane, best))
    for number, curve in enumerate(curves):
        shapes.append(f'<g class="c{number % COLOURS}">{"".join(_line(plane, curve))}</g>')
    shapes += _names(plane, curves)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(_spoken(title, curves))}">'
        f"{''.join(shapes)}</svg>"
    )


def round_ticks(largest: float, max_steps: int = 5) -> list[float]:
    """0 and at most ``max_steps`` evenly spaced round numbers, of which the last one is at least ``largest``."""
    if largest <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(largest / max_steps))
    fitting = (factor * power for factor in (1, 2, 2.5, 5, 10) if largest / (factor * power) <= max_steps + 1e-9)
    step = next(fitting, 10 * power)
    return [step * index for index in range(math.ceil(largest / step - 1e-9) + 1)]


def epoch_ticks(epochs: int, max_ticks: int = 8) -> list[int]:
    """Epochs, from 1, to label on the axis: at most ``max_ticks`` round numbers, and the first epoch where it fits."""
    steps = (factor * 10**power for power in range(12) for factor in (1, 2, 5))
    step = next(step for step in steps if epochs / step <= max_ticks)
    first = [1] if step > 2 else []  # beside a 2 there is no room for a 1
    return first + list(range(step, epochs + 1, step))


def _value_axis(plane: _Plane, ticks: Sequence[float]) -> Iterator[str]:
    for tick in ticks:
        y = plane.y(tick)
        yield f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{_short(tick)}</text>'


def _epoch_axis(plane: _Plane) -> Iterator[str]:
    for epoch in epoch_ticks(plane.epochs):
        yield f'<text class="tick" x="{plane.x(epoch - 1):.1f}" y="{BOTTOM + 16}" text-anchor="middle">{epoch}</text>'
    yield f'<text class="tick" x="{LEFT - 8}" y="{BOTTOM + 16}" text-anchor="end">epoch</text>'


def _mark(plane: _Plane, index: int) -> str:
    x = plane.x(index)
    return (
        f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{BOTTOM}"/>'
        f'<text class="tick" x="{x:.1f}" y="{TOP - 8}" text-anchor="middle">best</text>'
    )


def _line(plane: _Plane, curve: Curve) -> Iterator[str]:
    """Segments of the line without gaps, with dots where there are few epochs, and for isolated points."""
    for known, group in groupby(enumerate(curve.values), key=lambda point: point[1] is not None):
        points = [(index, value) for index, value in group if value is not None]
        if not known:
            continue
        if len(points) > 1:
            path = " ".join(f"{plane.x(index):.1f},{plane.y(value):.1f}" for index, value in points)
            yield f'<polyline points="{path}"/>'
        for index, value in points if len(points) == 1 or plane.epochs <= MAX_DOTS else ():
            tooltip = escape(f"{curve.name}, epoch {index + 1}: {value:.4g}")
            yield (
                f'<circle cx="{plane.x(index):.1f}" cy="{plane.y(value):.1f}" r="2.4"><title>{tooltip}</title></circle>'
            )


def _names(plane: _Plane, curves: Sequence[Curve]) -> Iterator[str]:
    """Names beside the last points of the lines, moved apart where two would touch; a single line has no name."""
    if len(curves) == 1:
        return
    ends = {number: plane.y(curve.known()[-1][1]) for number, curve in enumerate(curves) if curve.known()}
    order = sorted(ends, key=lambda number: ends[number])
    for number, y in zip(order, spread([ends[each] for each in order]), strict=True):
        yield (
            f'<text class="name c{number % COLOURS}" x="{RIGHT + 8}" y="{y + 3.5:.1f}">'
            f"{escape(curves[number].name)}</text>"
        )


def spread(places: Sequence[float], distance: float = LINE_OF_TEXT, lowest: float = float(BOTTOM)) -> list[float]:
    """Move ascending positions apart, so that neighbours are ``distance`` apart and none exceeds ``lowest``."""
    apart: list[float] = []
    for place in places:
        apart.append(max(place, apart[-1] + distance) if apart else place)
    limit = lowest
    for index in reversed(range(len(apart))):
        apart[index] = min(apart[index], limit)
        limit = apart[index] - distance
    return apart


def _short(number: float) -> str:
    return f"{round(number, 10):g}"


def _spoken(title: str, curves: Sequence[Curve]) -> str:
    """The drawing in words, for screen readers: the first and the last value of each line."""
    ends = [(curve.name, curve.known()) for curve in curves]
    words = [f"{name} from {points[0][1]:.3g} to {points[-1][1]:.3g}" for name, points in ends if points]
    return f"{title}: {', '.join(words) or 'no values'}"
