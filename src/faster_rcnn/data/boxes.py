"""The rules for a single box: the meaning of its numbers, and their faults.

Nothing is guessed: a box is clipped to the image or dropped, and each case is reported with the numbers of the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from faster_rcnn.data.layout.listing import Fault, ListedBox, ListedImage, Listing, Notation
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import shown
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ImageSize

Corners = tuple[float, float, float, float]

TOLERANCE = 1.0
"""Pixels that a box may extend beyond the image without a fault: not all tools include the last pixel."""

MIN_SIDE = 0.01
"""Minimum length of a side in pixels; edges that are much closer are equal in float32."""

_NO_NUMBERS = frozenset((bool, type(None)))
"""Types of values that are no numbers, although ``float`` converts some of them."""

_MAX_SHOWN = 20
"""Maximum number of values in the message about a box that does not have four."""


class Judgement(NamedTuple):
    """The result of checking a box: its corners inside the image, or ``None`` for a dropped box; and its fault."""

    corners: Corners | None
    fault: Fault | None = None
    trimmed: bool = False
    """Whether the box was clipped by so little that it is no fault."""


class PlacedBox(NamedTuple):
    """A box with its image and the true size of that image."""

    box: ListedBox
    image: ListedImage
    size: ImageSize


def judge(placed: PlacedBox, listing: Listing) -> Judgement:
    """Clip a box to its image, or find the reason to drop it (E107, E108, E118)."""
    box, image, size = placed
    place = f"{image.annotation} {box.where} in {image.file_name}"
    values = as_numbers(box.written)
    if values is None or box.category == "":
        lack = "has no class name" if values is not None else f"needs four numbers but has {_shown(box.written)}"
        return Judgement(None, Fault("E118", f"{place} {lack}; dropped"))
    if (fault := _without_area(values, listing.notation)) is not None:
        text = f"{place}: {fault.text} ({_written(box, listing.notation)}); dropped"
        return Judgement(None, Fault(fault.code, text))
    corners = to_corners(values, listing.notation, listing.offset, size)
    if _is_inside(corners, size):  # as nearly all boxes are, so no text is made for them
        return Judgement(corners)
    return _clip(corners, size, f"{place} ({_written(box, listing.notation)})")


def as_numbers(written: Sequence[object]) -> Corners | None:
    """The four numbers of a box; ``None`` if there are not four, or one is text, infinite or NaN."""
    if len(written) != 4 or not _NO_NUMBERS.isdisjoint(map(type, written)):
        return None
    try:
        numbers = tuple(map(float, written))  # type: ignore[arg-type]  # anything else raises TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None  # type: ignore[return-value]


def to_corners(values: Corners, notation: Notation, offset: float, size: ImageSize) -> Corners:
    """Convert four numbers to (x1, y1, x2, y2) in continuous pixels of an image of the given size.

    ``offset`` is the number of the first pixel (1 in VOC); it shifts the left and upper edge of ``xyxy`` alone.
    """
    a, b, c, d = values
    if notation == "xywh":
        return a, b, a + c, b + d
    if notation == "xyxy":
        return a - offset, b - offset, c, d
    width, height = size.width, size.height
    return (a - c / 2) * width, (b - d / 2) * height, (a + c / 2) * width, (b + d / 2) * height


def exact_xywh(box: ListedBox, corners: Corners, notation: Notation) -> Corners:
    """(x, y, width, height) in double precision: the numbers of the file, unless the box was clipped.

    Metrics use these numbers. A width computed from corners would differ from the file's own in its last digits.
    """
    x1, y1, x2, y2 = corners
    if notation == "xywh" and (written := as_numbers(box.written)) is not None:
        x, y, width, height = written
        if (x, y, x + width, y + height) == corners:
            return written
    return x1, y1, x2 - x1, y2 - y1


def _without_area(values: Corners, notation: Notation) -> Fault | None:
    """What is wrong with width or height, by the numbers as written: edges in the wrong order (E118), or none (E107).

    VOC's ``xmax = xmin`` means a width of one pixel literally, but wherever it occurs it is a slip of the mouse.
    """
    a, b, c, d = values
    if notation == "xyxy":
        for axis, low, high in (("x", a, c), ("y", b, d)):
            if high < low:
                return Fault("E118", f"{axis}max {high:g} is smaller than {axis}min {low:g}")
        c, d = c - a, d - b
    for side, length in (("width", c), ("height", d)):
        if length <= 0:
            return Fault("E107", f"{side} {length:g}")
    return None


def _is_inside(corners: Corners, size: ImageSize) -> bool:
    """Whether a box is inside its image and not too thin, so that it needs no change."""
    x1, y1, x2, y2 = corners
    inside = x1 >= 0 and y1 >= 0 and x2 <= size.width and y2 <= size.height
    return inside and min(x2 - x1, y2 - y1) >= MIN_SIDE


def _clip(corners: Corners, size: ImageSize, place: str) -> Judgement:
    x1, y1, x2, y2 = corners
    inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(size.width)), min(y2, float(size.height)))
    image = f"the image is {size.width}x{size.height}"
    shorter = min(inside[2] - inside[0], inside[3] - inside[1])
    if shorter <= 0:
        return Judgement(None, Fault("E108", f"{place} lies fully outside, {image}; dropped"))
    if shorter < MIN_SIDE:
        return Judgement(None, Fault("E107", f"{place} has no visible area, {image}; dropped"))
    if inside == corners:
        return Judgement(corners)
    overhang = max(abs(before - after) for before, after in zip(corners, inside, strict=True))
    if overhang <= TOLERANCE:
        return Judgement(inside, trimmed=True)
    return Judgement(inside, Fault("E108", f"{place} sticks out by {overhang:g} pixels, {image}; clipped"))


def _shown(written: Sequence[object]) -> str:
    return "[" + cut(", ".join(shown(value) for value in written[:_MAX_SHOWN]), 200) + "]"


def _written(box: ListedBox, notation: Notation) -> str:
    return f"{notation} = {_shown(box.written)}"


def refuse_other_units(boxes: Sequence[PlacedBox], listing: Listing) -> None:
    """Stop where all numbers are shares of the image, in a format of pixels (E110); no other rule detects this."""
    if listing.notation == "cxcywh":
        return
    largest = (max(map(abs, values)) for placed in boxes if (values := as_numbers(placed.box.written)) is not None)
    # The first box usually ends this: there may be a million of them.
    if next(largest, 2.0) > 1 or any(value > 1 for value in largest):
        return
    example = boxes[0]
    raise DatasetError(
        f"{listing.source}: none of {len(boxes)} boxes has a value above 1, e.g. {example.box.where} in "
        f"{example.image.file_name}: {_shown(example.box.written)}; they are shares of the image in a format of "
        "pixels. Multiply them by the image's width and height in the file",
        code="E110",
    )


def refuse_other_notation(boxes: Sequence[PlacedBox], listing: Listing, faults: int, allowed: int) -> None:
    """Stop where another meaning of the four numbers explains what is wrong with them (E109, E111)."""
    others: dict[Notation, Notation] = {"xywh": "xyxy", "xyxy": "xywh"}
    other = others.get(listing.notation)
    if other is None:
        _refuse_pixels(boxes, listing)
        return
    bad = sum(not _fits(placed, other, listing.offset) for placed in boxes)
    if bad > allowed:
        return
    names = {"xywh": "[x, y, width, height]", "xyxy": "[x1, y1, x2, y2]", "cxcywh": ""}
    raise DatasetError(
        f"{listing.source}: boxes look like {names[other]}, but {listing.format} means {names[listing.notation]}: "
        f"read as {listing.notation} {faults / len(boxes):.0%} leave the image or have no area, read as {other} "
        f"{bad / len(boxes):.0%}, e.g. {boxes[0].box.where} in {boxes[0].image.file_name}: "
        f"{_shown(boxes[0].box.written)}. Convert the numbers in the file; nothing was started",
        code="E109",
    )


def _refuse_pixels(boxes: Sequence[PlacedBox], listing: Listing) -> None:
    large = [
        placed
        for placed in boxes
        if (values := as_numbers(placed.box.written)) is not None and max(map(abs, values)) > 2
    ]
    if 2 * len(large) <= len(boxes):
        return
    example = large[0]
    raise DatasetError(
        f"{example.image.annotation} {example.box.where}: {_shown(example.box.written)} are pixels, but "
        f"{listing.format} needs shares of the image's width and height, 0 to 1; "
        f"{len(large)} of {len(boxes)} boxes are. Divide them in the files",
        code="E111",
    )


def _fits(placed: PlacedBox, notation: Notation, offset: float) -> bool:
    values = as_numbers(placed.box.written)
    if values is None or _without_area(values, notation) is not None:
        return False
    judged = _clip(to_corners(values, notation, offset, placed.size), placed.size, "")
    return judged.fault is None
