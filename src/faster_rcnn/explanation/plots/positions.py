"""Positions of the anchors: which feature of which level, and the k anchors there (section 3.1.1)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.record.numbers import level_numbers, level_of_anchor
from faster_rcnn.explanation.record.recording import FirstStage, PartRecording


@dataclass(frozen=True, slots=True)
class Position:
    """One feature of one level."""

    level: int
    row: int
    column: int
    anchors: range
    """Indices of the k anchors at the position."""


def centres_of(part: PartRecording, first: FirstStage, level: int) -> Float[Tensor, "rows columns 2"]:
    """The points (x, y) at which the anchors of a level are centred, in the frame of the resized part."""
    numbers = level_numbers(part)[level]
    start = sum(first.anchors.per_level[:level])
    boxes = first.anchors.boxes[start : start + numbers.anchors : numbers.per_position]  # the first shape of each
    return ((boxes[:, :2] + boxes[:, 2:]) / 2).reshape(numbers.rows, numbers.columns, 2)


def position_of(part: PartRecording, first: FirstStage, anchor: int) -> Position:
    """The position of an anchor, by its index."""
    level = level_of_anchor(first, anchor)
    numbers = level_numbers(part)[level]
    start = sum(first.anchors.per_level[:level])
    place = (anchor - start) // numbers.per_position
    return _position(part, first, level, place // numbers.columns, place % numbers.columns)


def position_at(part: PartRecording, first: FirstStage, level: int, point: tuple[float, float]) -> Position:
    """The position of a level that is nearest to a point (x, y) in pixels of the image.

    Raises ``OptionError`` (E125) where the point lies outside the part.
    """
    x, y = point
    place = part.place
    if not (place.x1 <= x <= place.x2 and place.y1 <= y <= place.y2):
        raise OptionError(
            f"at ({x:g}, {y:g}): this part of the image has x from {place.x1} to {place.x2} and y from {place.y1} to "
            f"{place.y2} pixels; choose a point inside it",
            code="E125",
        )
    numbers = level_numbers(part)[level]
    box = first.anchors.boxes.new_tensor([[x, y, x, y]])
    distance = (centres_of(part, first, level) - part.in_part(box)[0, :2]).square().sum(dim=-1)
    nearest = int(distance.argmin())
    return _position(part, first, level, nearest // numbers.columns, nearest % numbers.columns)


def _position(part: PartRecording, first: FirstStage, level: int, row: int, column: int) -> Position:
    numbers = level_numbers(part)[level]
    start = sum(first.anchors.per_level[:level]) + (row * numbers.columns + column) * numbers.per_position
    return Position(level, row, column, range(start, start + numbers.per_position))
