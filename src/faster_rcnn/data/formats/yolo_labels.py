"""YOLO's label files: one object per line, as a box, a polygon, or a box with keypoints.

``class cx cy width height`` is a box, in shares of the image's width and height. ``class x1 y1 x2 y2 x3 y3 ...`` is a
polygon (with four points: an oriented box), of which the enclosing box is used. With ``kpt_shape`` in ``data.yaml``
the box comes first, and keypoints follow. Without ``kpt_shape`` lines of keypoints and of polygons differ only in their
numbers, so lines that can only be keypoints are refused, and lines that may be both are reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from faster_rcnn.data.layout.listing import ListedBox
from faster_rcnn.errors import DatasetError
from faster_rcnn.parsing.text import read_text
from faster_rcnn.parsing.values import as_integer, as_number, cut, first_of

_ROUNDING = 0.002
"""Maximum rounding error of written numbers, as a share of the image: two or three digits are usual."""


class KeypointShape(NamedTuple):
    """The layout of keypoints that ``kpt_shape`` declares."""

    points: int
    values: int
    """Numbers of each point: 2 (x, y), or 3 with its visibility."""


class Outline(NamedTuple):
    """A line of more than five values that is read as a polygon."""

    source: Path
    line: int
    values: tuple[float, ...]
    """Values of the line without the class."""


class Labels(NamedTuple):
    """The content of a label file."""

    boxes: tuple[ListedBox, ...]
    outlines: tuple[Outline, ...]


def read_labels(source: Path, keypoints: KeypointShape | None) -> Labels:
    """Read a label file.

    Raises:
        DatasetError: the file is not text (E102), or a line is no object (E103).
    """
    boxes, outlines = [], []
    for number, line in enumerate(read_text(source).split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        place = f"{source} line {number}"
        if "," in line or ";" in line:
            raise _parted_by_commas(line, place)
        category = _category(words[0])
        if len(words) == 5 or _is_box_with_keypoints(words, place, keypoints) or not _is_outline(words, place):
            boxes.append(ListedBox(f"line {number}", tuple(words[1:5] if len(words) > 5 else words[1:]), category))
        else:
            values = [value for word in words[1:] if (value := as_number(word)) is not None]
            outline = Outline(source, number, tuple(values)) if len(values) == len(words) - 1 else None
            # A line with values that are no numbers is kept as it is written; its box is dropped and reported later.
            written = tuple(words[1:]) if outline is None else _enclosing(outline.values)
            boxes.append(ListedBox(f"line {number}", written, category))
            outlines += [outline] if outline is not None else []
    return Labels(tuple(boxes), tuple(outlines))


def is_label_text(text: str) -> bool:
    """Whether the first line of a text is like an object; an empty text is that of an image without objects."""
    words = text.split("\n", 1)[0].split() if text.strip() else ["0"] * 5
    return len(words) >= 5 and all(as_number(word) is not None for word in words)


def _parted_by_commas(line: str, place: str) -> DatasetError:
    words = line.split()
    if len(words) >= 5 and all(re.fullmatch(r"[+-]?\d*,\d+", word) for word in words[1:]):
        problem = "has decimal commas; numbers are written with a point, such as 0.5"
    else:
        problem = "has commas or semicolons between its values; separate them by blanks: class cx cy width height"
    return DatasetError(f"{place}: {_quoted(line.strip())} {problem}. Replace them in the label files", code="E103")


def _category(word: str) -> int | str:
    """A class id, which may be written ``2.0``; other text is unchanged, for the message that refuses it."""
    number = as_number(word)
    if number is None or not number.is_integer():
        return word
    exact = as_integer(word)
    return int(number) if exact is None else exact


def _is_box_with_keypoints(words: Sequence[str], place: str, shape: KeypointShape | None) -> bool:
    if shape is None:
        return False
    expected = 5 + shape.points * shape.values
    if len(words) != expected:
        raise DatasetError(
            f"{place} has {len(words)} values; with kpt_shape: [{shape.points}, {shape.values}] a line is a class, a "
            f"box and keypoints, {expected} values. Correct kpt_shape in the YAML, or the line",
            code="E103",
        )
    return True


def _is_outline(words: Sequence[str], place: str) -> bool:
    """Whether a line is a polygon; a line of fewer than five values is kept as a box, which is dropped later."""
    if len(words) < 6:
        return False
    if len(words) == 6:
        raise DatasetError(
            f"{place} has 6 values: it looks like detections with a score; a label line is 'class cx cy width height'",
            code="E103",
        )
    if len(words) % 2 == 0:
        points, rest = divmod(len(words) - 5, 3)
        hint = f": write kpt_shape: [{points}, 3] in data.yaml" if rest == 0 else " are declared by kpt_shape"
        raise DatasetError(
            f"{place} has {len(words)} values, so it is neither a box (5) nor a polygon (an odd number). Keypoints "
            f"(x, y, visibility) after the box{hint}; a score at the end has to be removed",
            code="E103",
        )
    return True


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _enclosing(polygon: Sequence[float]) -> tuple[object, ...]:
    """The box (cx, cy, width, height) around a polygon ``x1 y1 x2 y2 ...``."""
    xs, ys = polygon[::2], polygon[1::2]
    return (max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2, max(xs) - min(xs), max(ys) - min(ys)


def judge_outlines(outlines: Sequence[Outline], split: str) -> list[str]:
    """Notes on the lines that were read as polygons.

    Raises:
        DatasetError: all of these lines can only be boxes with keypoints (E103).
    """
    if not outlines:
        return []
    files = len({outline.source for outline in outlines})
    notes = [f"boxes around polygons: {len(outlines)}, in {files} label files of {split}"]
    count = len(outlines[0].values)
    if any(len(outline.values) != count for outline in outlines) or not all(map(_starts_with_box, outlines)):
        return notes
    first = outlines[0]
    for values in (3, 2):
        points, rest = divmod(count - 4, values)
        if rest == 0 and _only_keypoints([outline.values[4:] for outline in outlines], values):
            raise DatasetError(
                f"{first.source} line {first.line} has {count + 1} values, as have all {len(outlines)} long lines of "
                f"{split}: a box and {points} keypoints, not a polygon. Write kpt_shape: [{points}, {values}] in "
                "data.yaml, and the boxes are read",
                code="E103",
            )
    if all(_may_be_keypoints(outline.values) for outline in outlines):
        notes.append(
            f"all long lines of {split} have {count + 1} values and may also be boxes with {(count - 4) // 2} "
            f"keypoints; they were read as polygons (if they are keypoints: kpt_shape: [{(count - 4) // 2}, 2] in "
            "data.yaml)"
        )
    return notes


def _starts_with_box(outline: Outline) -> bool:
    """Whether the first four numbers are a box inside the image."""
    cx, cy, width, height = outline.values[:4]
    inside = all(
        centre - side / 2 >= -_ROUNDING and centre + side / 2 <= 1 + _ROUNDING
        for centre, side in ((cx, width), (cy, height))
    )
    return inside and width > 0 and height > 0


def _only_keypoints(rests: Sequence[Sequence[float]], values: int) -> bool:
    """Whether the numbers after the boxes cannot be points of a polygon.

    On all lines every third number is 0, 1 or 2 (a visibility), or a line has the point (0, 0) twice, which stands for
    keypoints that were not found and is no polygon.
    """
    if values == 3:
        return all({0, 1, 2}.issuperset(rest[2::3]) for rest in rests)
    return any(sum(point == (0, 0) for point in _points(rest)) > 1 for rest in rests)


def _points(values: Sequence[float]) -> Iterable[tuple[float, float]]:
    return zip(values[::2], values[1::2], strict=True)


def _may_be_keypoints(values: Sequence[float]) -> bool:
    """Whether the points after the first four numbers lie in the box that the four numbers would be.

    The corners of oriented boxes do so in many images; they are recognised by their parallel sides. Other polygons of
    four points may do so by chance in all images, so such lines are not refused.
    """
    cx, cy, width, height = values[:4]
    if len(values) == 8 and all(
        abs(values[axis] + values[4 + axis] - values[2 + axis] - values[6 + axis]) <= 2 * _ROUNDING for axis in (0, 1)
    ):
        return False
    return all(
        (x, y) == (0, 0) or (abs(x - cx) <= width / 2 + _ROUNDING and abs(y - cy) <= height / 2 + _ROUNDING)
        for x, y in _points(values[4:])
    )


def _shown_category(category: int | str) -> str:
    """A class for a message: an id unchanged, text in quotation marks and without control characters."""
    return cut(str(category)) if isinstance(category, int) else _quoted(category)


def refuse_unknown_classes(
    annotated: Iterable[tuple[str, Sequence[ListedBox]]], categories: Sequence[tuple[int, str]], description: Path
) -> None:
    """Stop at the first class id without a name (E111); ``annotated`` are label files with their boxes."""
    known = dict(categories)
    used: set[int | str] = set()
    first = None
    for annotation, boxes in annotated:
        for box in boxes:
            used.add(box.category)
            if first is None and box.category not in known:
                first = annotation, box
    if first is None:
        return
    annotation, box = first
    numbers = {name: number for number, name in categories}
    advice = f"add the name to {description.name} or correct the line"
    if box.category in numbers:
        advice = f"a label line begins with the class's number: '{box.category}' is {numbers[str(box.category)]}"
    elif 0 not in used and used <= {number + 1 for number in known}:
        advice = f"the labels count classes from 1, YOLO from 0: subtract 1 in the files ({first_of(sorted(known), 3)})"
    raise DatasetError(
        f"{annotation} {box.where}: class {_shown_category(box.category)}, but {description.name} names "
        f"{len(known)} classes ({min(known)}-{max(known)}); {advice}",
        code="E111",
    )
