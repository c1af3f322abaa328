from __future__ import annotations

from dataclasses import replace

from PIL import Image

from drawn_pictures import pixels_of
from faster_rcnn.explanation.plots.marks import (
    NEGATIVE,
    POSITIVE,
    draw_arrow,
    draw_boxes,
    draw_dashed,
    draw_dot,
    draw_moves,
    draw_tags,
)
from faster_rcnn.explanation.plots.view import View
from tiny import boxes_of

GREY = (128, 128, 128)


def grey_view(scale: float = 2.0) -> View:
    """A view of 100 x 80 pixels of an image, whose left upper corner is at (10, 20)."""
    return View(Image.new("RGB", (round(100 * scale), round(80 * scale)), GREY), 10, 20, scale)


def test_a_box_is_a_line_of_its_colour_at_its_place() -> None:
    view = grey_view()
    # (20, 30) of the image is 2 * (20 - 10, 30 - 20) = (20, 20) of the picture; the box is 60 x 40 pixels there.
    draw_boxes(view, boxes_of([[20, 30, 50, 50]]), POSITIVE, 3)
    assert pixels_of(view.picture, POSITIVE, (20, 20, 80, 60)) == 60 * 40 - 54 * 34
    assert pixels_of(view.picture, POSITIVE) == 60 * 40 - 54 * 34
    assert view.picture.getpixel((50, 40)) == GREY


def test_the_first_box_is_on_top() -> None:
    view = grey_view()
    draw_boxes(view, boxes_of([[20, 30, 50, 50]] * 2), [POSITIVE, NEGATIVE])
    assert pixels_of(view.picture, POSITIVE) > 0
    assert pixels_of(view.picture, NEGATIVE) == 0


def test_boxes_may_cross_the_border_or_lie_far_outside() -> None:
    view = grey_view()
    rows = boxes_of([[-1e4, -1e4, 1e4, 50], [500, 500, 600, 600], [10, 20, 110, 100]])
    draw_boxes(view, rows, POSITIVE)
    draw_dashed(view, rows)
    draw_tags(view, rows, ["a", "b", "c"], POSITIVE)
    untouched = grey_view()
    draw_boxes(untouched, rows[1:2], POSITIVE)
    draw_dashed(untouched, rows[1:2])
    assert untouched.picture.tobytes() == grey_view().picture.tobytes()


def test_a_dashed_box_is_black_with_dashes() -> None:
    view = grey_view()
    draw_dashed(view, boxes_of([[20, 30, 50, 50]]), NEGATIVE, 2)
    black, coloured = pixels_of(view.picture, (0, 0, 0)), pixels_of(view.picture, NEGATIVE)
    # A line of 2 pixels around 60 x 40 pixels. Dashes begin every 16 pixels and have 9: 36 along
    # the upper and lower sides, 9 + 9 + 8 along the others, which meet at two corners.
    assert black + coloured == 60 * 40 - 56 * 36
    assert coloured == 2 * 2 * (4 * 9) + 2 * 2 * (9 + 9 + 8) - 2 * (2 * 2)


def test_tags_have_the_colour_of_their_boxes_and_letters_of_a_legible_size() -> None:
    view = grey_view(5.0)
    draw_tags(view, boxes_of([[30, 50, 60, 70]]), ["name"], POSITIVE, ["0.50"])
    # The tag lies above the box, which is at (100, 150); it is at least 18 pixels high.
    columns = pixels_of(view.picture, POSITIVE, (102, 0, 103, 150))
    assert columns >= 18


def test_no_boxes_draw_nothing() -> None:
    view = grey_view()
    draw_boxes(view, boxes_of([]), [])
    draw_dashed(view, boxes_of([]))
    draw_tags(view, boxes_of([]), [], [])
    draw_moves(view, boxes_of([]), boxes_of([]), [])
    assert view.picture.tobytes() == grey_view().picture.tobytes()


def test_an_arrow_leads_from_its_start_to_its_end() -> None:
    view = grey_view()
    draw_arrow(view, (20, 50), (80, 50), POSITIVE)
    # From (20, 60) to (140, 60) of the picture: the line is 3 pixels high, the head wider near its end.
    assert view.picture.getpixel((60, 60)) == POSITIVE
    near = [pixels_of(view.picture, POSITIVE, (x, 40, x + 1, 80)) for x in (60, 131)]
    assert near[1] > near[0]
    assert pixels_of(view.picture, POSITIVE, (142, 0, 200, 160)) == 0


def test_an_arrow_without_length_is_a_dot() -> None:
    view, dotted = grey_view(), grey_view()
    draw_arrow(view, (50, 50), (50, 50), POSITIVE)
    draw_dot(dotted, 50, 50, POSITIVE, 3)
    assert view.picture.tobytes() == dotted.picture.tobytes()


def test_a_move_is_a_dashed_box_a_solid_box_and_two_arrows() -> None:
    view = grey_view()
    before, after = boxes_of([[20, 30, 50, 50]]), boxes_of([[40, 50, 90, 90]])
    draw_moves(view, before, after, [POSITIVE])
    alone = replace(view, picture=grey_view().picture)
    draw_boxes(alone, after, [POSITIVE])
    assert pixels_of(view.picture, POSITIVE) > pixels_of(alone.picture, POSITIVE)
    # The middle of the way from (20, 30) to (40, 50) is (30, 40), at (40, 40) of the picture.
    assert view.picture.getpixel((40, 40)) == POSITIVE
