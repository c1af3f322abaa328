"""Contact sheets: several pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image


def contact_sheet(pictures: Sequence[Image.Image], columns: int, width: int, gap: int = 6) -> Image.Image:
    """Put pictures of any shapes on one white sheet, in rows that fill the width.

    Args:
        pictures: at least one, in reading order.
        columns: pictures in a row; a last row of fewer pictures is no higher than the row before.
        width: width of the sheet in pixels.
        gap: white pixels between pictures.
    """
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    heights: list[int] = []
    for row in rows:
        filling = (width - gap * (len(row) - 1)) / sum(one.width / one.height for one in row)
        complete = len(row) == columns or not heights
        heights.append(max(1, round(filling if complete else min(filling, heights[-1]))))
    sheet = Image.new("RGB", (width, sum(heights) + gap * (len(rows) - 1)), "white")
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0.0
        for one in row:
            right = left + one.width * height / one.height
            size = (max(1, round(right) - round(left)), height)
            sheet.paste(one.resize(size, Image.Resampling.LANCZOS), (round(left), top))
            left = right + gap
        top += height + gap
    return sheet
