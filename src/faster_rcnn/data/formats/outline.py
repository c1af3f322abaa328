"""The box around an object's outline, for COCO annotations with a ``segmentation`` but without a ``bbox``.

An outline is one polygon ``[x1, y1, x2, y2, ...]`` or several, or a mask as run lengths: ``{"size": [height, width],
"counts": [...]}``, or the same with ``counts`` as the text that pycocotools writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate, chain

from faster_rcnn.parsing.values import as_integer, as_number

_MAX_SIDE = 2**31
"""Maximum side of a mask in pixels."""
_PACKED = re.compile(r"([P-o]{0,11}[0-O])*[P-o]?")
"""Run lengths as text: up to 60 bits each, five bits a character; all characters of a run but its last set bit 6."""

Box = tuple[float, float, float, float]


def box_around(segmentation: object) -> Box | None:
    """The box (x, y, width, height) in pixels around an outline; ``None`` for an empty or invalid outline."""
    if isinstance(segmentation, dict):
        return _around_mask(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        return None
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    if not all(isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in polygons):
        return None
    xs = [as_number(value) for value in chain.from_iterable(polygon[::2] for polygon in polygons)]
    ys = [as_number(value) for value in chain.from_iterable(polygon[1::2] for polygon in polygons)]
    across, down = [x for x in xs if x is not None], [y for y in ys if y is not None]
    if len(across) < len(xs) or len(down) < len(ys):
        return None
    return min(across), min(down), max(across) - min(across), max(down) - min(down)


def _around_mask(mask: dict[str, object]) -> Box | None:
    """The box around a mask: runs of 0 and 1 in turn, column by column; a run of two columns spans the whole height."""
    size, counts = mask.get("size"), mask.get("counts")
    height = as_integer(size[0]) if isinstance(size, list) and len(size) == 2 else None
    runs = _runs(counts)
    if not height or height < 0 or runs is None:
        return None
    ends = list(accumulate(runs))
    ones = [(start, end - 1) for start, end in zip(ends[0::2], ends[1::2], strict=False) if end > start]
    if not ones:
        return None
    left, right = ones[0][0] // height, ones[-1][1] // height
    if right > _MAX_SIDE or height > _MAX_SIDE:
        return None
    inside = [(start % height, end % height) for start, end in ones if start // height == end // height]
    whole = len(inside) < len(ones)
    top = 0 if whole else min(start for start, _ in inside)
    bottom = height - 1 if whole else max(end for _, end in inside)
    return float(left), float(top), float(right - left + 1), float(bottom - top + 1)


def _runs(counts: object) -> list[int] | None:
    if isinstance(counts, str):
        if not _PACKED.fullmatch(counts):
            return None
        runs = list(_unpacked(counts))
    elif isinstance(counts, list):
        whole = [as_integer(count) for count in counts]
        runs = [count for count in whole if count is not None]
        if len(runs) < len(whole):
            return None
    else:
        return None
    return runs if all(run >= 0 for run in runs) else None


def _unpacked(text: str) -> Iterator[int]:
    """Unpack pycocotools' run lengths: five bits a character; from the fourth number on the difference to two before.

    Bit 6 of a character means that more follow, bit 5 of the last one that the number is negative.
    """
    number, shift, before = 0, 0, [0, 0]
    for position, code in enumerate(ord(character) - 48 for character in text):
        number |= (code & 31) << shift
        shift += 5
        if code & 32 and position + 1 < len(text):
            continue
        number -= (1 << shift) if code & 16 else 0
        number += before[-2] if len(before) > 4 else 0
        before.append(number)
        yield number
        number, shift = 0, 0
