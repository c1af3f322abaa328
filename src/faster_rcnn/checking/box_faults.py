"""Findings about single boxes, and the boxes without their faults."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from faster_rcnn.checking.class_names import Key
from faster_rcnn.checking.finding import Finding
from faster_rcnn.checking.image_faults import Usable
from faster_rcnn.checking.notation import Meaning, corners_of
from faster_rcnn.data.boxes import MIN_SIDE, TOLERANCE, Corners, as_numbers
from faster_rcnn.data.layout.listing import ListedBox
from faster_rcnn.data.opening import LONGEST_SIDE
from faster_rcnn.parsing.json_values import shown
from faster_rcnn.parsing.values import cut
from faster_rcnn.structures import ImageSize

DROPPED = "the box is dropped"


class Sound(NamedTuple):
    """A box that can be used."""

    box: ListedBox
    corners: Corners
    """(x1, y1, x2, y2) in pixels, inside the image."""
    label: int
    changed: bool
    """Whether the numbers are others than those of the file."""


class _Judged(NamedTuple):
    """A box after one rule: its corners, ``None`` for a box that is dropped, and its fault."""

    corners: Corners | None
    kind: str | None = None
    value: str = ""
    change: str | None = DROPPED
    place: Corners | None = None
    """Where a dropped box would be, for its picture."""


def judge_boxes(
    one: Usable, split: str, meaning: Meaning, labels: Mapping[Key, int], converted: bool
) -> tuple[list[Sound], list[Finding], int]:
    """The sound boxes of an image, findings about the others, and how many were trimmed by at most a pixel.

    Args:
        one: the image.
        split: name of its split.
        meaning: how the numbers are read.
        labels: the label of each class of the split.
        converted: whether ``meaning`` differs from that of the format.
    """
    sound: list[Sound] = []
    findings: list[Finding] = []
    trimmed = 0
    for box in one.image.boxes:
        judged = _judge(box, meaning, one.size)
        if judged.kind == "box.trimmed":
            trimmed += 1
        elif judged.kind is not None:
            findings.append(_finding(one, split, box, judged))
        label = labels.get(box.category)
        if judged.corners is not None and label is not None:
            sound.append(Sound(box, judged.corners, label, converted or judged.kind is not None))
    kept, repeated = _without_duplicates(one, split, sound)
    return kept, findings + repeated, trimmed


def _finding(one: Usable, split: str, box: ListedBox, judged: _Judged) -> Finding:
    record = f"{one.image.annotation} {box.where}"
    kind = judged.kind or ""
    corners = judged.corners or judged.place
    if corners is not None and not all(abs(each) <= LONGEST_SIDE for each in corners):
        corners = None  # so far away that no picture shows it
    return Finding(kind, split, one.image.file_name, record, judged.value, judged.change, one.image.path, corners)


def _judge(box: ListedBox, meaning: Meaning, size: ImageSize) -> _Judged:
    values, written = as_numbers(box.written), cut(shown(list(box.written[:20])), 200)
    if values is None:
        return _Judged(None, "box.numbers", written)
    if box.category == "":
        return _Judged(None, "box.no-class", written)
    corners = _corners(values, meaning, size)
    edges = _corners(values, meaning._replace(offset=0.0), size)  # as they are written: VOC's have one pixel more
    if not all(map(math.isfinite, (*corners, *edges))):
        return _Judged(None, "box.outside", written)
    if edges[2] < edges[0] or edges[3] < edges[1]:
        return _swapped(edges, meaning.first_pixel, size)._replace(value=written)
    if edges[2] == edges[0] or edges[3] == edges[1]:
        return _Judged(None, "box.flat", written, place=corners)
    if not meaning.shares and max(map(abs, values)) <= 1:
        shares = _corners(values, meaning._replace(shares=True), size)
        if _lies_inside(shares, size) and min(shares[2] - shares[0], shares[3] - shares[1]) >= 1:
            return _Judged(shares, "box.normalised", written, f"multiplied by {size.width} and {size.height}")
    return _clipped(corners, size, written)


def _corners(values: Corners, meaning: Meaning, size: ImageSize) -> Corners:
    return corners_of(values, meaning, float(size.width), float(size.height))


def _swapped(edges: Corners, first_pixel: float, size: ImageSize) -> _Judged:
    """The box with its edges in order, where it lies inside the image then."""
    x1, y1, x2, y2 = edges
    ordered = min(x1, x2) - first_pixel, min(y1, y2) - first_pixel, max(x1, x2), max(y1, y2)
    if _lies_inside(ordered, size) and min(ordered[2] - ordered[0], ordered[3] - ordered[1]) > 0:
        return _Judged(_cut(ordered, size), "box.swapped", change="the edges are exchanged")
    return _Judged(None, "box.swapped")


def _clipped(corners: Corners, size: ImageSize, written: str) -> _Judged:
    value = f"{written}, the image is {size.width}x{size.height}"
    inside = _cut(corners, size)
    if min(inside[2] - inside[0], inside[3] - inside[1]) <= 0:
        return _Judged(None, "box.outside", value)
    if min(inside[2] - inside[0], inside[3] - inside[1]) < MIN_SIDE:
        return _Judged(None, "box.flat", value)
    if inside == corners:
        return _Judged(corners)
    if _lies_inside(corners, size):
        return _Judged(inside, "box.trimmed")
    overhang = max(abs(before - after) for before, after in zip(corners, inside, strict=True))
    return _Judged(inside, "box.beyond", f"{value}: by {overhang:g} pixels", "the box is clipped")


def _lies_inside(corners: Corners, size: ImageSize) -> bool:
    x1, y1, x2, y2 = corners
    return min(x1, y1) >= -TOLERANCE and x2 <= size.width + TOLERANCE and y2 <= size.height + TOLERANCE


def _cut(corners: Corners, size: ImageSize) -> Corners:
    x1, y1, x2, y2 = corners
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(size.width)), min(y2, float(size.height))


def _without_duplicates(one: Usable, split: str, sound: Sequence[Sound]) -> tuple[list[Sound], list[Finding]]:
    """The boxes without those that are equal to an earlier one, in class and in corners to a hundredth of a pixel."""
    kept: dict[tuple[Corners, int, bool], Sound] = {}
    findings = []
    classes: dict[Corners, Sound] = {}
    for each in sound:
        x1, y1, x2, y2 = (round(value, 2) for value in each.corners)
        key = (x1, y1, x2, y2)
        first = kept.setdefault((key, each.label, each.box.ignored), each)
        other = classes.setdefault(key, each)
        if first is not each:
            judged = _Judged(each.corners, "box.duplicate", f"equal to {first.box.where}")
            findings.append(_finding(one, split, each.box, judged))
        elif other.label != each.label:
            judged = _Judged(each.corners, "box.two-classes", f"the box of {other.box.where}", None)
            findings.append(_finding(one, split, each.box, judged))
    return list(kept.values()), findings
