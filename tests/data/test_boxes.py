"""The rules for a single box, with numbers that are worked out by hand, and an oracle for clipping."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.data.boxes import (
    Corners,
    PlacedBox,
    as_numbers,
    exact_xywh,
    judge,
    refuse_other_notation,
    refuse_other_units,
    to_corners,
)
from faster_rcnn.data.layout.listing import ListedBox, ListedImage, Listing, Notation
from faster_rcnn.errors import DatasetError
from faster_rcnn.structures import ImageSize

SIZE = ImageSize(height=80, width=100)
IMAGE = ListedImage("a.jpg", Path("a.jpg"), 1, SIZE, (), "boxes.json")


def placed(*written: object, category: int | str = 1) -> PlacedBox:
    return PlacedBox(ListedBox("line 1", written, category), IMAGE, SIZE)


def listing(notation: Notation, offset: float = 0.0) -> Listing:
    return Listing("COCO JSON", "train", Path("boxes.json"), (IMAGE,), notation, offset=offset)


@pytest.mark.parametrize(
    ("values", "notation", "offset", "expected"),
    [
        ((10, 20, 30, 40), "xywh", 0, (10, 20, 40, 60)),
        ((10, 20, 30, 40), "xyxy", 0, (10, 20, 30, 40)),
        ((10, 20, 30, 40), "xyxy", 1, (9, 19, 30, 40)),  # VOC: the first pixel has the number 1
        ((0.5, 0.25, 0.2, 0.5), "cxcywh", 0, (40, 0, 60, 40)),  # centre (50, 20), 20 wide, 40 high
    ],
)
def test_corners_of_each_notation(values: Corners, notation: Notation, offset: float, expected: Corners) -> None:
    assert to_corners(values, notation, offset, SIZE) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ((1, 2.5, "3", " 4e1 "), (1.0, 2.5, 3.0, 40.0)),
        ((1, 2, 3), None),
        ((1, 2, 3, 4, 5), None),
        ((1, 2, 3, None), None),
        ((1, 2, 3, True), None),
        ((1, 2, 3, "wide"), None),
        ((1, 2, 3, float("nan")), None),
        ((1, 2, 3, "inf"), None),
        ((1, 2, 3, 10**400), None),
        ((1, 2, 3, [4]), None),
    ],
)
def test_the_numbers_of_a_box(written: tuple[object, ...], expected: Corners | None) -> None:
    assert as_numbers(written) == expected


@pytest.mark.parametrize(
    ("written", "notation", "code", "text"),
    [
        ((10, 20, 0, 5), "xywh", "E107", "width 0 (xywh = [10, 20, 0, 5]); dropped"),
        ((10, 20, 5, -2), "xywh", "E107", "height -2 (xywh = [10, 20, 5, -2]); dropped"),
        ((10, 20, 10, 30), "xyxy", "E107", "width 0 (xyxy = [10, 20, 10, 30]); dropped"),
        ((30, 20, 10, 30), "xyxy", "E118", "xmax 10 is smaller than xmin 30 (xyxy = [30, 20, 10, 30]); dropped"),
        ((10, 30, 20, 20), "xyxy", "E118", "ymax 20 is smaller than ymin 30 (xyxy = [10, 30, 20, 20]); dropped"),
        ((100, 20, 5, 5), "xywh", "E108", "lies fully outside, the image is 100x80; dropped"),
        ((99.995, 20, 5, 5), "xywh", "E107", "has no visible area, the image is 100x80; dropped"),
        ((10, 20, 0.001, 5), "xywh", "E107", "has no visible area, the image is 100x80; dropped"),
        ((10, 20, 5), "xywh", "E118", "needs four numbers but has [10, 20, 5]; dropped"),
        ((90, 20, 15, 5), "xywh", "E108", "sticks out by 5 pixels, the image is 100x80; clipped"),
    ],
)
def test_faults_have_their_code_and_the_numbers_of_the_file(
    written: tuple[object, ...], notation: Notation, code: str, text: str
) -> None:
    judged = judge(placed(*written), listing(notation))
    assert judged.fault is not None
    assert (judged.fault.code, judged.corners is None) == (code, text.endswith("dropped"))
    assert judged.fault.text.startswith("boxes.json line 1 in a.jpg")
    assert judged.fault.text.endswith(text)


def test_a_box_without_a_class_name_is_dropped() -> None:
    fault = judge(placed(1, 2, 3, 4, category=""), listing("xywh")).fault
    assert str(fault) == "E118 boxes.json line 1 in a.jpg has no class name; dropped"


def test_up_to_a_pixel_beyond_the_border_is_clipped_without_a_fault() -> None:
    judged = judge(placed(90, 20, 11, 5), listing("xywh"))
    assert (judged.corners, judged.fault, judged.trimmed) == ((90, 20, 100, 25), None, True)
    inside = judge(placed(90, 20, 10, 5), listing("xywh"))
    assert (inside.corners, inside.fault, inside.trimmed) == ((90, 20, 100, 25), None, False)


@given(
    x=st.floats(-200, 200, width=32),
    y=st.floats(-200, 200, width=32),
    width=st.floats(-50, 300, width=32),
    height=st.floats(-50, 300, width=32),
)
def test_a_kept_box_is_the_intersection_with_its_image(x: float, y: float, width: float, height: float) -> None:
    judged = judge(placed(x, y, width, height), listing("xywh"))
    corners = max(x, 0), max(y, 0), min(x + width, 100), min(y + height, 80)
    sides = corners[2] - corners[0], corners[3] - corners[1]
    if judged.corners is None:
        assert judged.fault is not None
        assert min(*sides, width, height) < 0.01
    else:
        assert judged.corners == corners
        assert min(sides) > 0
        overhang = max(-x, -y, x + width - 100, y + height - 80)
        assert (judged.fault is not None) == (overhang > 1)


def test_metrics_get_the_numbers_of_the_file_unless_a_box_is_clipped() -> None:
    # 0.1 + 0.2 = 0.30000000000000004 in double precision, so a width from corners would be 0.20000000000000004.
    box = ListedBox("line 1", (0.1, 0.1, 0.2, 0.2), 1)
    corners = to_corners((0.1, 0.1, 0.2, 0.2), "xywh", 0, SIZE)
    assert corners[2] - corners[0] != 0.2
    assert exact_xywh(box, corners, "xywh") == (0.1, 0.1, 0.2, 0.2)
    assert exact_xywh(box, (0.0, 0.0, 10.0, 20.0), "xywh") == (0, 0, 10, 20)
    assert exact_xywh(box, (1.0, 2.0, 10.0, 20.0), "xyxy") == (1, 2, 9, 18)


def test_shares_in_a_format_of_pixels_are_refused() -> None:
    shares = [placed(0.1, 0.2, 0.3, 0.4), placed(0.5, 0.5, 1.0, 0.1)]
    with pytest.raises(DatasetError, match=r"^E110 boxes\.json: none of 2 boxes has a value above 1, e\.g\. line 1"):
        refuse_other_units(shares, listing("xywh"))
    refuse_other_units(shares, listing("cxcywh"))
    refuse_other_units([*shares, placed(0, 0, 2, 1)], listing("xywh"))
    refuse_other_units([placed("a")], listing("xywh"))
    refuse_other_units([], listing("xywh"))


def test_another_notation_that_fits_is_named() -> None:
    corners = [placed(60, 50, 90, 70), placed(50, 40, 99, 79)]  # as sizes they would leave the image
    with pytest.raises(DatasetError, match=r"^E109 .* look like \[x1, y1, x2, y2\], but COCO JSON means \[x, y, "):
        refuse_other_notation(corners, listing("xywh"), faults=2, allowed=1)
    neither = [placed(60, 50, 30, 70), placed(50, 40, 20, 79)]
    refuse_other_notation(neither, listing("xywh"), faults=2, allowed=1)


def test_pixels_in_a_format_of_shares_are_refused() -> None:
    pixels = [placed(50, 40, 20, 10)]
    with pytest.raises(DatasetError, match=r"^E111 boxes\.json line 1: \[50, 40, 20, 10\] are pixels, but COCO"):
        refuse_other_notation(pixels, listing("cxcywh"), faults=1, allowed=0)
    half = [*pixels, placed(0.5, 0.5, 1.5, 0.1)]  # not more than half of them
    refuse_other_notation(half, listing("cxcywh"), faults=2, allowed=1)
