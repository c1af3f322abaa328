"""Boxes around outlines: polygons by hand, masks against pycocotools."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faster_rcnn.data.formats.outline import box_around


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([[10, 20, 40, 20, 40, 60.5]], (10, 20, 30, 40.5)),
        ([[10, 20, 40, 20, 40, 60], [50, 5, 60, 5, 60, 10]], (10, 5, 50, 55)),  # x 10..60, y 5..60
        ([10, 20, 40, 20, 40, 60], (10, 20, 30, 40)),  # not in a list of polygons
        ([["10", "20", "40", "20", "40", "60"]], (10, 20, 30, 40)),
        # 4 rows: 5 zeros end at column 1, row 0; then 2 ones are rows 1 and 2 of column 1
        ({"size": [4, 3], "counts": [5, 2, 5]}, (1, 1, 1, 2)),
        # the ones go from column 0, row 3 to column 1, row 0, so they span all rows
        ({"size": [4, 3], "counts": [3, 2, 7]}, (0, 0, 2, 4)),
    ],
)
def test_boxes_by_hand(segmentation: Any, box: tuple[float, ...]) -> None:
    assert box_around(segmentation) == box


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, None]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 10**400]],
        "1 2 3",
        {},
        {"size": [4, 3]},
        {"size": [0, 3], "counts": [1, 2]},
        {"size": [4, 3], "counts": [12]},
        {"size": [4, 3], "counts": [3, -2, 7]},
        {"size": [4, 3], "counts": [3, None]},
        {"size": 4, "counts": [3, 2]},
        {"size": [4, 3], "counts": "o" * 300_000},  # one number of a million bits
        {"size": [4, 3], "counts": "\u00ff\u2028~"},
        {"size": [4, 3], "counts": [10**400, 5]},
        {"size": [10**400, 3], "counts": [0, 5]},
        [1],
        [{}],
    ],
)
def test_invalid_outlines_have_no_box(segmentation: Any) -> None:
    assert box_around(segmentation) is None


@given(st.lists(st.lists(st.booleans(), min_size=7, max_size=7), min_size=1, max_size=9))
@settings(max_examples=100, deadline=None)
def test_packed_masks_as_pycocotools_reads_them(rows: list[list[bool]]) -> None:
    masks = pytest.importorskip("pycocotools.mask")
    packed = masks.encode(np.asfortranarray(np.array(rows, dtype=np.uint8)))
    found = box_around({"size": packed["size"], "counts": packed["counts"].decode()})
    expected = tuple(masks.toBbox(packed).tolist())
    assert found == (expected if expected[2] else None)
