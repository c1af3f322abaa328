"""The meaning of boxes' numbers, guessed from the numbers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faster_rcnn.checking.image_faults import Usable
from faster_rcnn.checking.notation import ORDERS, Meaning, Order, corners_of, meaning_of, other_meaning
from faster_rcnn.checking.pictures import Picture
from faster_rcnn.data.layout.listing import ListedBox, ListedImage, Listing
from faster_rcnn.structures import ImageSize

SIZE = ImageSize(480, 640)
BOX = (100.0, 40.0, 160.0, 240.0)
WRITTEN: dict[tuple[Order, bool], tuple[float, float, float, float]] = {
    ("xywh", False): (100, 40, 60, 200),
    ("xyxy", False): (100, 40, 160, 240),
    ("cxcywh", False): (130, 140, 60, 200),
    ("yxyx", False): (40, 100, 240, 160),
    ("xywh", True): (100 / 640, 40 / 480, 60 / 640, 200 / 480),
    ("xyxy", True): (100 / 640, 40 / 480, 160 / 640, 240 / 480),
    ("cxcywh", True): (130 / 640, 140 / 480, 60 / 640, 200 / 480),
    ("yxyx", True): (40 / 480, 100 / 640, 240 / 480, 160 / 640),
}


@pytest.mark.parametrize(("order", "shares"), WRITTEN)
def test_every_meaning_gives_the_same_corners(order: Order, shares: bool) -> None:
    assert corners_of(WRITTEN[order, shares], Meaning(order, shares), 640.0, 480.0) == pytest.approx(BOX)


def test_the_first_pixel_moves_the_left_and_upper_edge_of_corners_in_pixels_alone() -> None:
    assert corners_of((11.0, 21.0, 30.0, 40.0), Meaning("xyxy", False, 1.0), 640.0, 480.0) == (10, 20, 30, 40)
    assert corners_of((0.5, 0.5, 0.75, 1.0), Meaning("xyxy", True, 1.0), 640.0, 480.0) == (320, 240, 480, 480)


def test_only_corners_in_pixels_have_a_first_pixel() -> None:
    meanings = [Meaning(order, shares, 1.0) for order in ORDERS for shares in (False, True)]
    assert [each[:2] for each in meanings if each.first_pixel] == [("xyxy", False), ("yxyx", False)]


def many(order: Order, shares: bool) -> Any:
    """Boxes all over an image of 640 x 480, written in a meaning."""
    random = np.random.default_rng(0)
    sides = random.uniform(40, 240, (60, 2))
    first = random.uniform(0, 1, (60, 2)) * (np.array([640, 480]) - sides)
    corners = np.concatenate((first, first + sides), axis=1)
    columns = {
        "xywh": np.concatenate((first, sides), axis=1),
        "xyxy": corners,
        "cxcywh": np.concatenate((first + sides / 2, sides), axis=1),
        "yxyx": corners[:, [1, 0, 3, 2]],
    }[order]
    pixels = np.array([480, 640, 480, 640]) if order == "yxyx" else np.array([640, 480, 640, 480])
    return columns / pixels if shares else columns


SIDES = np.tile(np.array([[640.0, 480.0]]), (60, 1))


@pytest.mark.parametrize("usual", [Meaning("xywh", False), Meaning("xyxy", False), Meaning("cxcywh", True)], ids=str)
@pytest.mark.parametrize("shares", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_what_is_written_is_found(usual: Meaning, order: Order, shares: bool) -> None:
    written = Meaning(order, shares)
    found = other_meaning(many(order, shares), usual, SIDES)
    if written == usual:
        assert found is None
    elif (order, shares) == ("yxyx", True):
        assert found == Meaning("xyxy", True)  # in shares nothing distinguishes rows from columns, which are usual
    else:
        assert found == written


def test_numbers_that_nothing_explains_are_left_to_the_rules_for_single_boxes() -> None:
    assert other_meaning(np.full((10, 4), -50.0), Meaning("xywh", False), SIDES[:10]) is None
    few_bad = many("xywh", False)
    few_bad[0] = -50.0
    assert other_meaning(few_bad, Meaning("xywh", False), SIDES) is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("usual", [Meaning("xywh", False), Meaning("cxcywh", True)], ids=str)
def test_numbers_that_overflow_fit_nowhere(usual: Meaning) -> None:
    assert other_meaning(np.full((10, 4), 1e308), usual, SIDES[:10]) is None


def test_the_finding_has_the_evidence() -> None:
    boxes = tuple(ListedBox(f"line {n}", tuple(row), 0) for n, row in enumerate(many("xyxy", True).tolist()))
    image = ListedImage("a.jpg", Path("a.jpg"), 1, None, boxes, "a.txt")
    listing = Listing("YOLO", "train", Path("data.yaml"), (image,), "cxcywh")
    meaning, findings = meaning_of(listing, [Usable(image, SIZE, Picture(SIZE), None)])
    assert meaning == Meaning("xyxy", True)
    assert len(findings) == 1
    assert "looks like [x1, y1, x2, y2] in shares of the image" in findings[0].value
    assert "of 60 boxes leave the image or have no area as [centre x, centre y, width, height]" in findings[0].value
    assert "and 0% so; [y1, x1, y2, x2] would fit as well" in findings[0].value
    assert findings[0].change == "all 60 boxes are read as [x1, y1, x2, y2] in shares of the image"
