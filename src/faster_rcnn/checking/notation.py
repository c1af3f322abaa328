"""The meaning of the four numbers of a split's boxes: what its format says, or what the boxes themselves give away.

Every order of the numbers, in pixels and in shares of the image, is tried on all boxes. Where the format's own meaning
makes many of them leave their images or have no area, and another one makes nearly all of them fit, that one is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.image_faults import Usable
from faster_rcnn.data.boxes import TOLERANCE, Corners, as_numbers
from faster_rcnn.data.layout.listing import ListedBox, Listing
from faster_rcnn.parsing.json_values import shown

Order = Literal["xywh", "xyxy", "cxcywh", "yxyx"]
ORDERS: tuple[Order, ...] = ("xywh", "xyxy", "cxcywh", "yxyx")
NAMES: dict[Order, str] = {
    "xywh": "[x, y, width, height]",
    "xyxy": "[x1, y1, x2, y2]",
    "cxcywh": "[centre x, centre y, width, height]",
    "yxyx": "[y1, x1, y2, x2]",
}
MAX_BAD, MAX_BAD_OTHER = 0.05, 0.02
"""Shares of boxes that do not fit: from the first on another meaning is searched, up to the second one is accepted."""

Value = TypeVar("Value", float, Float[np.ndarray, " boxes"])
"""A number of one box, or a column with those of many."""
_Array = Float[np.ndarray, "boxes 4"]


class Meaning(NamedTuple):
    """The order of the four numbers, and their unit."""

    order: Order
    shares: bool
    """Whether they are shares of the image's width and height, and no pixels."""
    offset: float = 0.0
    """Number of the first pixel, for corners in pixels."""

    @property
    def first_pixel(self) -> float:
        """What is subtracted from the left and upper edge of corners in pixels; nothing else counts pixels."""
        return self.offset if self.order in ("xyxy", "yxyx") and not self.shares else 0.0

    def __str__(self) -> str:
        return f"{NAMES[self.order]} in {'shares of the image' if self.shares else 'pixels'}"


def declared(listing: Listing) -> Meaning:
    """The meaning that the format of a split gives its numbers."""
    return Meaning(listing.notation, listing.notation == "cxcywh", listing.offset)


def corners_of(
    values: tuple[Value, Value, Value, Value], meaning: Meaning, width: Value, height: Value
) -> tuple[Value, Value, Value, Value]:
    """Corners (x1, y1, x2, y2) in continuous pixels of one box in an image of this size, or of many, by columns."""
    a, b, c, d = values
    if meaning.order == "yxyx":
        a, b, c, d = b, a, d, c
    if meaning.shares:
        a, b, c, d = a * width, b * height, c * width, d * height
    if meaning.order in ("xyxy", "yxyx"):
        return a - meaning.first_pixel, b - meaning.first_pixel, c, d
    if meaning.order == "cxcywh":
        a, b = a - c / 2, b - d / 2
    return a, b, a + c, b + d


class _Numbered(NamedTuple):
    """A box with four numbers."""

    one: Usable
    box: ListedBox
    values: Corners


def meaning_of(listing: Listing, usable: Sequence[Usable]) -> tuple[Meaning, list[Finding]]:
    """The meaning of a split's numbers, and a finding with the evidence where it is not that of the format."""
    usual = declared(listing)
    numbered = [
        _Numbered(one, box, values)
        for one in usable
        for box in one.image.boxes
        if (values := as_numbers(box.written)) is not None
    ]
    if not numbered:
        return usual, []
    array = np.asarray([each.values for each in numbered], dtype=np.float64)
    sides = np.asarray([[each.one.size.width, each.one.size.height] for each in numbered], dtype=np.float64)
    found = other_meaning(array, usual, sides)
    if found is None:
        return usual, []
    evidence, example = "no value is above 1", numbered[0]
    if not _is_speck(array, usual):
        before, after = (~_fits(array, each, sides) for each in (usual, found))
        example = numbered[int(before.argmax())]
        fit = f"{before.mean():.0%} of {len(array)} boxes leave the image or have no area"
        evidence = f"{fit} as {usual}, and {after.mean():.0%} so"
    image = example.one.image
    value = f"{shown(list(example.box.written))} looks like {found}: {evidence}{_doubt(array, found, sides)}"
    change = f"all {len(array)} boxes are read as {found}"
    record = f"{image.annotation} {example.box.where}"
    return found, [Finding("box.format", listing.split, image.file_name, record, value, change, image.path)]


def other_meaning(values: _Array, usual: Meaning, sides: Float[np.ndarray, "boxes 2"]) -> Meaning | None:
    """The meaning that explains the numbers where the usual one does not; else ``None``.

    Args:
        values: the four numbers of each box, at least one box.
        usual: what the format says.
        sides: width and height of the image of each box.
    """
    bad = 1 - float(_fits(values, usual, sides).mean())
    speck = _is_speck(values, usual)
    if not speck and bad <= max(MAX_BAD, 1 / len(values)):
        return None
    offset = usual.offset if not usual.shares else 0.0
    others = [Meaning(order, shares, offset) for shares in (usual.shares, not usual.shares) for order in ORDERS]
    if speck:
        others = sorted((each for each in others if each.shares), key=lambda each: each.order != usual.order)
    others = [each for each in others if each != usual]
    # The first of several that fit equally well: the same unit as the format has comes first.
    best = max(others, key=lambda each: float(_fits(values, each, sides).mean()))
    return best if 1 - float(_fits(values, best, sides).mean()) <= MAX_BAD_OTHER else None


def _doubt(values: _Array, found: Meaning, sides: Float[np.ndarray, "boxes 2"]) -> str:
    """Words on rows that come first, which fit as well as columns in square images and in shares."""
    rows_first = found._replace(order="yxyx")
    if found.order != "xyxy" or _fits(values, rows_first, sides).mean() < _fits(values, found, sides).mean():
        return ""
    return f"; {NAMES['yxyx']} would fit as well, so compare the pictures on the page"


def _is_speck(values: _Array, usual: Meaning) -> bool:
    """Whether all numbers are so small that pixels would make every box a speck in the first pixel."""
    return not usual.shares and bool((np.abs(values) <= 1).all())


def _fits(values: _Array, meaning: Meaning, sides: Float[np.ndarray, "boxes 2"]) -> Bool[np.ndarray, " boxes"]:
    """Whether each box has an area and lies in its image."""
    width, height = sides.T
    a, b, c, d = values.T
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows lies in no image
        x1, y1, x2, y2 = corners_of((a, b, c, d), meaning, width, height)
    inside = (np.minimum(x1, y1) >= -TOLERANCE) & (x2 <= width + TOLERANCE) & (y2 <= height + TOLERANCE)
    return np.asarray(inside & (x2 > x1) & (y2 > y1))
