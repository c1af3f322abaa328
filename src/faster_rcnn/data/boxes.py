"""The rules for one box: what its numbers mean, and what is wrong with them.

Nothing is guessed: a box is clipped to the image or dropped, and each case is told with the numbers of the file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from faster_rcnn.data.layout.listing import ListedBox, ListedImage, Listing, Notation
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.json_values import shown
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ImageSize

Corners = tuple[float, float, float, float]

_TOLERANCE = 1.0
"""Pixels that a box may stick out without being called bad: tools differ in whether the last pixel is included."""

_SMALLEST = 0.01
"""Shortest side in pixels; float32 cannot tell edges apart that are much closer."""

_NO_NUMBERS = frozenset((bool, type(None)))
"""Types of values that are no numbers, although ``float`` takes some of them."""


_SHOWN = 20
"""So many values of a box are shown, which should have four."""


class Fault(NamedTuple):
    """Something that is wrong, with its code and its line for the user."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Judgement(NamedTuple):
    """What becomes of a box: its corners inside the image, or none; and why."""

    corners: Corners | None
    fault: Fault | None = None
    trimmed: bool = False
    """Clipped by so little that it is no fault."""


class PlacedBox(NamedTuple):
    """A box together with the image it is in and that image's true size."""

    box: ListedBox
    image: ListedImage
    size: ImageSize


def judge(placed: PlacedBox, listing: Listing) -> Judgement:
    """Clip a box to its image, or say why it has to be dropped."""
    box, image, size = placed
    place = f"{image.annotation} {box.where} in {image.file_name}"
    values = as_numbers(box.written)
    if values is None or box.category == "":
        lack = "has no class name" if values is not None else f"needs four numbers but has {_shown(box.written)}"
        return Judgement(None, Fault("E118", f"{place} {lack}; dropped"))
    if problem := _without_area(values, listing.notation):
        code = "E118" if problem.startswith(("xmax", "ymax")) else "E107"
        return Judgement(None, Fault(code, f"{place}: {problem} ({_written(box, listing.notation)}); dropped"))
    corners = to_corners(values, listing.notation, listing.offset, size)
    if _is_inside(corners, size):  # as nearly all boxes are, so no text is made for them
        return Judgement(corners)
    return _clip(corners, size, f"{place} ({_written(box, listing.notation)})")


def as_numbers(written: Sequence[object]) -> Corners | None:
    """The four numbers of a box; none if there are not four, or one is text, infinite or not a number."""
    if len(written) != 4 or not _NO_NUMBERS.isdisjoint(map(type, written)):
        return None
    try:
        numbers = tuple(map(float, written))  # type: ignore[arg-type]  # anything else raises TypeError
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None  # type: ignore[return-value]


def to_corners(values: Corners, notation: Notation, offset: float, size: ImageSize) -> Corners:
    """(x1, y1, x2, y2) in continuous pixels."""
    a, b, c, d = values
    if notation == "xywh":
        return a, b, a + c, b + d
    if notation == "xyxy":
        return a - offset, b - offset, c, d
    width, height = size.width, size.height
    return (a - c / 2) * width, (b - d / 2) * height, (a + c / 2) * width, (b + d / 2) * height


def exact_xywh(box: ListedBox, corners: Corners, notation: Notation) -> Corners:
    """(x, y, width, height) in double precision: the numbers of the file, unless the box was clipped.

    Metrics are taken of these. A width made of corners would differ from the file's own in its last digits.
    """
    x1, y1, x2, y2 = corners
    if notation == "xywh" and (written := as_numbers(box.written)) is not None:
        x, y, width, height = written
        if (x, y, x + width, y + height) == corners:
            return written
    return x1, y1, x2 - x1, y2 - y1


def _without_area(values: Corners, notation: Notation) -> str | None:
    """What is wrong with width or height, by the numbers as written.

    VOC's ``xmax = xmin`` means one pixel if taken at its word, but it is a slip of the mouse wherever it occurs.
    """
    a, b, c, d = values
    if notation == "xyxy":
        for axis, low, high in (("x", a, c), ("y", b, d)):
            if high < low:
                return f"{axis}max {high:g} is smaller than {axis}min {low:g}"
        c, d = c - a, d - b
    for side, length in (("width", c), ("height", d)):
        if length <= 0:
            return f"{side} {length:g}"
    return None


def _is_inside(corners: Corners, size: ImageSize) -> bool:
    """Whether a box is inside its image and not too thin, so that nothing is to be done about it."""
    x1, y1, x2, y2 = corners
    inside = x1 >= 0 and y1 >= 0 and x2 <= size.width and y2 <= size.height
    return inside and min(x2 - x1, y2 - y1) >= _SMALLEST


def _clip(corners: Corners, size: ImageSize, place: str) -> Judgement:
    x1, y1, x2, y2 = corners
    inside = (max(x1, 0.0), max(y1, 0.0), min(x2, float(size.width)), min(y2, float(size.height)))
    image = f"the image is {size.width}x{size.height}"
    shorter = min(inside[2] - inside[0], inside[3] - inside[1])
    if shorter <= 0:
        return Judgement(None, Fault("E108", f"{place} lies fully outside, {image}; dropped"))
    if shorter < _SMALLEST:
        return Judgement(None, Fault("E107", f"{place} has no area that could be seen, {image}; dropped"))
    if inside == corners:
        return Judgement(corners)
    overhang = max(abs(before - after) for before, after in zip(corners, inside, strict=True))
    if overhang <= _TOLERANCE:
        return Judgement(inside, trimmed=True)
    return Judgement(inside, Fault("E108", f"{place} sticks out by {overhang:g} pixels, {image}; clipped"))


def _shown(written: Sequence[object]) -> str:
    return "[" + cut(", ".join(shown(value) for value in written[:_SHOWN]), 200) + "]"


def _written(box: ListedBox, notation: Notation) -> str:
    return f"{notation} = {_shown(box.written)}"


def refuse_other_units(boxes: Sequence[PlacedBox], listing: Listing) -> None:
    """Stop where all numbers are shares of the image, in a format of pixels (E110); no other rule sees it."""
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
        f"{listing.format} wants shares of the image's width and height, 0 to 1; "
        f"{len(large)} of {len(boxes)} boxes are so. Divide them in the files",
        code="E111",
    )


def _fits(placed: PlacedBox, notation: Notation, offset: float) -> bool:
    values = as_numbers(placed.box.written)
    if values is None or _without_area(values, notation):
        return False
    judged = _clip(to_corners(values, notation, offset, placed.size), placed.size, "")
    return judged.fault is None
