"""Marks on a view: boxes, tags, dots and arrows, in pixels of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from faster_rcnn.explanation.plots.figure import Text, lettering
from faster_rcnn.explanation.plots.view import View
from faster_rcnn.reporting.drawing.boxes import dashed_outline, outline
from faster_rcnn.reporting.drawing.colours import Colour
from faster_rcnn.reporting.drawing.tags import Frame, placed_tags, write_tag

POSITIVE: Colour = (86, 180, 233)
NEGATIVE: Colour = (213, 94, 0)
NEUTRAL: Colour = (240, 228, 66)
"""Sky blue, vermilion and yellow of Okabe and Ito (2008), which people with any colour vision can distinguish."""
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

TAG_LETTERS = 18
"""The size of letters on tags in pixels."""
THICK = 3
"""The width of a line in pixels."""


def draw_boxes(view: View, boxes: Float[Tensor, "boxes 4"], colours: list[Colour] | Colour, thick: int = THICK) -> None:
    """Draw the outlines of boxes, the first on top; one colour, or one for each box."""
    frames = view.frames(boxes)
    of_boxes = _each(colours, len(frames))
    for frame, colour in reversed(list(zip(frames, of_boxes, strict=True))):
        outline(view.canvas, frame, colour, thick)


def draw_dashed(
    view: View, boxes: Float[Tensor, "boxes 4"], colours: list[Colour] | Colour = WHITE, thick: int = THICK
) -> None:
    """Draw dashed outlines, black with dashes of a colour; those of truths are white in every picture."""
    frames = view.frames(boxes)
    for frame, colour in reversed(list(zip(frames, _each(colours, len(frames)), strict=True))):
        near = _within_reach(view, frame)
        if near is not None:
            dashed_outline(view.canvas, near, thick, 4 * thick, colour)


def draw_tags(
    view: View,
    boxes: Float[Tensor, "boxes 4"],
    texts: Sequence[Text],
    colours: list[Colour] | Colour,
    scores: Sequence[str] | None = None,
) -> None:
    """Write a text beside each box, and a score beside the text, where there is room; the first boxes come first."""
    size = view.picture.size
    frames = [_clipped(frame, size) for frame in view.frames(boxes)]
    names = [lettering(text) for text in texts]
    of_boxes = _each(colours, len(frames))
    for tag in reversed(placed_tags(frames, names, scores, of_boxes, size, TAG_LETTERS)):
        write_tag(view.canvas, tag)


def draw_dot(view: View, x: float, y: float, colour: Colour, radius: float = 5) -> None:
    """Draw a dot at a point of the image."""
    left, top = view.point(x, y)
    view.canvas.ellipse((left - radius, top - radius, left + radius, top + radius), fill=colour, outline=BLACK)


def draw_arrow(view: View, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
    """Draw an arrow between two points of the image; one that is too short for a head is a dot at its end."""
    (x1, y1), (x2, y2) = view.point(*start), view.point(*end)
    length = math.hypot(x2 - x1, y2 - y1)
    if length < 4:
        view.canvas.ellipse((x2 - 3, y2 - 3, x2 + 3, y2 + 3), fill=colour, outline=BLACK)
        return
    head = min(12.0, 0.6 * length)
    right, down = (x2 - x1) / length, (y2 - y1) / length
    neck = x2 - head * right, y2 - head * down
    wing = head * 0.5
    tips = [(x2, y2), (neck[0] - wing * down, neck[1] + wing * right), (neck[0] + wing * down, neck[1] - wing * right)]
    view.canvas.line((x1, y1, *neck), fill=(*BLACK, 170), width=5)
    view.canvas.polygon(tips, fill=colour, outline=BLACK)
    view.canvas.line((x1, y1, *neck), fill=colour, width=3)


def draw_moves(
    view: View, before: Float[Tensor, "boxes 4"], after: Float[Tensor, "boxes 4"], colours: list[Colour]
) -> None:
    """Draw each box before a transform dashed, after it solid, and arrows from its corners to its new corners."""
    draw_dashed(view, before, colours, 2)
    draw_boxes(view, after, colours)
    rows = zip(before.tolist(), after.tolist(), colours, strict=True)
    for (x1, y1, x2, y2), (x3, y3, x4, y4), colour in rows:
        draw_arrow(view, (x1, y1), (x3, y3), colour)
        draw_arrow(view, (x2, y2), (x4, y4), colour)


def _each(colours: list[Colour] | Colour, count: int) -> list[Colour]:
    """The colour of each of ``count`` boxes."""
    return colours if isinstance(colours, list) else [colours] * count


def _clipped(frame: Frame, size: tuple[int, int]) -> Frame:
    """The part of a frame inside the picture, of at least one pixel."""
    left, top = min(max(frame.left, 0), size[0] - 1), min(max(frame.top, 0), size[1] - 1)
    right, bottom = max(min(frame.right, size[0]), left + 1), max(min(frame.bottom, size[1]), top + 1)
    return Frame(left, top, right, bottom)


def _within_reach(view: View, frame: Frame) -> Frame | None:
    """A frame cut a little outside the picture, so that no dashes are drawn far away; ``None`` where none is near."""
    width, height = view.picture.size
    near = Frame(-20, -20, width + 20, height + 20)
    left, top = max(frame.left, near.left), max(frame.top, near.top)
    right, bottom = min(frame.right, near.right), min(frame.bottom, near.bottom)
    return Frame(left, top, right, bottom) if left < right and top < bottom else None
