"""Histograms as inline SVG: one bar for each span of values, with its count above it.

Colours and fonts come from the style sheet of the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 360, 190
"""Size in units of the drawing, small enough that text stays legible on a phone, where it is 350 pixels wide."""
LEFT, RIGHT, TOP, BOTTOM = 8, 352, 30, 148
"""Borders of the area of the bars."""
GAP = 3
"""Units between two bars."""


def draw_histogram(title: str, unit: str, labels: Sequence[str], counts: Sequence[int]) -> str:
    """Draw a histogram as an ``<svg>`` element; texts are escaped.

    Args:
        title: title for screen readers.
        unit: what the labels are, below the bars.
        labels: one short text for each bar, at least one.
        counts: the number of values of each bar.
    """
    step = (RIGHT - LEFT) / len(labels)
    top = max(*counts, 1)
    shapes = []
    for index, (label, count) in enumerate(zip(labels, counts, strict=True)):
        height = count / top * (BOTTOM - TOP)
        x, middle = LEFT + index * step, LEFT + (index + 0.5) * step
        shapes.append(
            f'<rect class="column" x="{x + GAP / 2:.1f}" y="{BOTTOM - height:.1f}" width="{step - GAP:.1f}" '
            f'height="{height:.1f}"><title>{escape(label)}: {count:,}</title></rect>'
        )
        if count:
            shapes.append(_text(middle, BOTTOM - height - 4, _short(count)))
        shapes.append(_text(middle, BOTTOM + 15, label))
    shapes.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{BOTTOM}" y2="{BOTTOM}"/>')
    shapes.append(_text((LEFT + RIGHT) / 2, BOTTOM + 34, unit))
    spoken = ", ".join(f"{label}: {count}" for label, count in zip(labels, counts, strict=True))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(f"{title}: {spoken}")}">'
        f"{''.join(shapes)}</svg>"
    )


def spans(values: Sequence[float], borders: Sequence[float]) -> tuple[list[str], list[int]]:
    """Labels and counts of values between ascending borders; a span includes its upper border, which is its label.

    >>> spans([1, 3, 3, 9], [2, 4])
    (['≤2', '≤4', '>4'], [1, 2, 1])
    """
    labels = [*(f"≤{border:g}" for border in borders), f">{borders[-1]:g}"]
    counts = [0] * len(labels)
    for value in values:
        counts[sum(value > border for border in borders)] += 1
    return labels, counts


def _text(x: float, y: float, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{escape(text)}</text>'


def _short(count: int) -> str:
    """A count in at most four characters, as far as that goes: 950, 1.2k, 35k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"
