"""A figure: panels in rows, each with its title, and a key and notes under them, on a white sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw

from faster_rcnn.reporting.drawing.boxes import dashed_outline, outline
from faster_rcnn.reporting.drawing.colours import Colour
from faster_rcnn.reporting.drawing.fonts import Lettering, load_font, text_width
from faster_rcnn.reporting.drawing.tags import Frame

WIDTH = 1000
"""Width of a figure in pixels."""
MAX_HEIGHT = 900
"""Largest height in pixels of a panel that fills the width; panels of several columns are lower."""
LETTERS = 19
"""Size of letters in pixels: 13 where a page shows a figure at a width of 700."""
LINE = 27
"""Distance of lines of text in pixels."""
GAP = 16
"""Distance between panels, and the margin of the sheet, in pixels."""
SWATCH = 26
"""Width of the sample of a colour in a key, in pixels."""

PAPER: Colour = (255, 255, 255)
INK: Colour = (32, 33, 36)
FAINT: Colour = (95, 99, 104)
"""The colour of text that explains."""

Text = str | Lettering
"""A text in Pillow's own font, or one with the fonts that its letters need."""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """A picture with its title."""

    picture: Image.Image
    title: Text = ""


@dataclass(frozen=True, slots=True)
class Key:
    """What a colour means."""

    text: Text
    colour: Colour
    style: Literal["line", "dashed", "dot", "fill"] = "line"


def cell_width(columns: int) -> int:
    """The width in pixels of a panel in a row of several."""
    return (WIDTH - GAP * (columns + 1)) // columns


def cell_height(columns: int) -> int:
    """The largest height in pixels of a panel in a row of several."""
    return min(MAX_HEIGHT, round(1.25 * cell_width(columns)))


def lettering(text: Text) -> Lettering:
    """A text with the fonts of its letters."""
    return text if isinstance(text, Lettering) else Lettering(text, (None,) * len(text))


def joined(*texts: Text) -> Lettering:
    """Several texts as one."""
    parts = [lettering(each) for each in texts]
    return Lettering("".join(each.text for each in parts), tuple(file for each in parts for file in each.files))


def write(
    canvas: ImageDraw.ImageDraw, place: tuple[float, float], text: Text, colour: Colour = INK, size: int = LETTERS
) -> None:
    """Write one line of text, whose left end and vertical middle lie at a place."""
    left, middle = place
    for run, file in lettering(text).runs():
        canvas.text((left, middle), run, fill=colour, font=load_font(file, size), anchor="lm")
        left += text_width(run, file, size)


def wrapped(text: Text, width: int) -> list[Lettering]:
    """The lines of a text that fit into a width in pixels, broken at spaces; a longer word is shortened."""
    whole = lettering(text)
    lines: list[Lettering] = []
    for word in _words(whole):
        longer = joined(lines[-1], " ", word) if lines else word
        if lines and longer.width(LETTERS) <= width:
            lines[-1] = longer
        else:
            lines.append(_shortened(word, width))
    return lines


def figure(
    panels: Sequence[Panel], columns: int = 1, keys: Sequence[Key] = (), notes: Sequence[Text] = ()
) -> Image.Image:
    """Put panels on a sheet of ``WIDTH`` pixels, in rows of ``columns``, with a key and lines of notes under them.

    A panel is no wider than ``cell_width(columns)``; the height of the sheet follows from its content.
    """
    cell = cell_width(columns)
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    sheet = Image.new("RGB", (WIDTH, _height(rows, cell, keys, notes)), PAPER)
    canvas = ImageDraw.Draw(sheet)
    top = GAP
    for row in rows:
        titles = [wrapped(panel.title, cell) for panel in row]
        under = top + LINE * max(len(lines) for lines in titles)
        for column, (panel, lines) in enumerate(zip(row, titles, strict=True)):
            left = GAP + column * (cell + GAP)
            _write_lines(canvas, left, top, lines, INK)
            sheet.paste(panel.picture, (left, under))
        top = under + max(panel.picture.height for panel in row) + GAP
    for place, key in _placed(keys):
        _draw_key(canvas, (place[0], top + place[1]), key)
    top += _keys_height(keys)
    for note in notes:
        lines = wrapped(note, WIDTH - 2 * GAP)
        _write_lines(canvas, GAP, top, lines, FAINT)
        top += LINE * len(lines)
    return sheet


def stacked(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """One figure under another of the same width."""
    sheet = Image.new("RGB", (upper.width, upper.height + lower.height), PAPER)
    sheet.paste(upper, (0, 0))
    sheet.paste(lower, (0, upper.height))
    return sheet


def _height(rows: Sequence[Sequence[Panel]], cell: int, keys: Sequence[Key], notes: Sequence[Text]) -> int:
    """The height of a sheet in pixels."""
    height = GAP
    for row in rows:
        height += LINE * max(len(wrapped(panel.title, cell)) for panel in row)
        height += max(panel.picture.height for panel in row) + GAP
    lines = sum(len(wrapped(note, WIDTH - 2 * GAP)) for note in notes)
    return height + _keys_height(keys) + LINE * lines + (GAP if keys or notes else 0)


def _write_lines(canvas: ImageDraw.ImageDraw, left: int, top: int, lines: Sequence[Lettering], colour: Colour) -> None:
    for number, line in enumerate(lines):
        write(canvas, (left, top + LINE * (number + 0.5) - 2), line, colour)


def _keys_height(keys: Sequence[Key]) -> int:
    return max((top + LINE for (_, top), _ in _placed(keys)), default=0)


def _placed(keys: Sequence[Key]) -> list[tuple[tuple[int, int], Key]]:
    """The place of each key, beside the one before it where there is room, relative to the top of all."""
    placed: list[tuple[tuple[int, int], Key]] = []
    left, top = GAP, 0
    for key in keys:
        width = SWATCH + 8 + lettering(key.text).width(LETTERS)
        if left > GAP and left + width > WIDTH - GAP:
            left, top = GAP, top + LINE
        placed.append(((left, top), key))
        left += width + 2 * GAP
    return placed


def _draw_key(canvas: ImageDraw.ImageDraw, place: tuple[int, int], key: Key) -> None:
    left, middle = place[0], place[1] + LINE // 2
    frame = Frame(left, middle - 9, left + SWATCH, middle + 9)
    match key.style:
        case "line":
            outline(canvas, frame, key.colour, 3)
        case "dashed":
            dashed_outline(canvas, frame, 3, 5, key.colour)
        case "fill":
            canvas.rectangle((frame.left, frame.top, frame.right - 1, frame.bottom - 1), fill=key.colour, outline=FAINT)
        case "dot":
            centre = left + SWATCH // 2
            canvas.ellipse((centre - 5, middle - 5, centre + 5, middle + 5), fill=key.colour, outline=INK)
    write(canvas, (left + SWATCH + 8, middle - 2), key.text, FAINT)


def _words(text: Lettering) -> list[Lettering]:
    words, start = [], 0
    for word in text.text.split(" "):
        if word:
            words.append(Lettering(word, text.files[start : start + len(word)]))
        start += len(word) + 1
    return words


def _shortened(word: Lettering, width: int) -> Lettering:
    """A word that fits into a width in pixels, with an ellipsis in the place of its middle where it is longer."""
    kept, shorter = len(word.text) - 1, word
    while shorter.width(LETTERS) > width and kept > 1:
        shorter, kept = word.shortened(kept), kept - 1
    return shorter
