"""The rule of merging, on detections made by hand; tiles of 100 pixels that share 20, in an image of 180 x 180."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from faster_rcnn.inference import merging
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.tiles import Tile, Tiling
from faster_rcnn.structures import Detections, ImageSize
from tiny import boxes_of

SIZE = ImageSize(180, 180)
WHOLE = Tile(0, 0, 180, 180)
UPPER_LEFT, UPPER_RIGHT, LOWER_LEFT, LOWER_RIGHT = Tiling(100, 0.2).tiles(SIZE)
Row = tuple[float, float, float, float, float, int]
"""x1, y1, x2, y2, score, label."""


def of(*rows: Row) -> Detections:
    """Best first, as a detector gives them."""
    ordered = sorted(rows, key=lambda row: -row[4])
    return Detections(
        boxes_of([row[:4] for row in ordered]),
        torch.tensor([float(row[4]) for row in ordered]),
        torch.tensor([row[5] for row in ordered], dtype=torch.int64),
    )


def merged(parts: dict[Tile, list[Row]], nms_iou: float = 0.5) -> list[Row]:
    found = merge([(tile, of(*rows)) for tile, rows in parts.items()], SIZE, nms_iou)
    rows = zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)
    return [(x1, y1, x2, y2, round(score, 4), label) for (x1, y1, x2, y2), score, label in rows]


def test_the_tiles_are_those_of_the_comment() -> None:
    places = [tuple(tile) for tile in (UPPER_LEFT, LOWER_RIGHT)]
    assert places == [(0, 0, 100, 100), (80, 80, 180, 180)]


def test_nothing_is_merged_to_nothing() -> None:
    assert merged({WHOLE: [], UPPER_LEFT: [], UPPER_RIGHT: []}) == []


def test_what_only_one_part_sees_stays_and_the_best_is_first() -> None:
    one, other, third = (
        (5.0, 5.0, 25.0, 25.0, 0.6, 0),
        (120.0, 5.0, 140.0, 25.0, 0.9, 1),
        (0.0, 0.0, 180.0, 180.0, 0.7, 2),
    )
    assert merged({WHOLE: [third], UPPER_LEFT: [one], UPPER_RIGHT: [other]}) == [other, third, one]


def test_of_doubles_in_the_overlap_the_best_stays() -> None:
    # IoU of 85..95 and 86..96, both 10 high: 9 / 11 = 0.82.
    better, worse = (85.0, 40.0, 95.0, 50.0, 0.9, 0), (86.0, 40.0, 96.0, 50.0, 0.8, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [worse], UPPER_RIGHT: [better]}) == [better]
    assert merged({WHOLE: [], UPPER_LEFT: [worse], UPPER_RIGHT: [better]}, nms_iou=0.9) == [better, worse]
    of_another_class = (*worse[:5], 1)
    assert merged({WHOLE: [], UPPER_LEFT: [of_another_class], UPPER_RIGHT: [better]}) == [better, of_another_class]


def test_a_cut_object_goes_where_the_neighbour_sees_it_whole_even_if_it_is_surer() -> None:
    cut, whole = (84.0, 40.0, 100.0, 50.0, 0.95, 0), (84.0, 40.0, 120.0, 50.0, 0.6, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [cut], UPPER_RIGHT: [whole]}) == [whole]
    # IoU is 16 / 36: suppression alone would have kept both.


def test_a_cut_object_goes_where_the_whole_image_shows_it_whole() -> None:
    left, right = (20.0, 30.0, 100.0, 90.0, 0.9, 0), (80.0, 30.0, 160.0, 90.0, 0.8, 0)
    large = (22.0, 32.0, 158.0, 88.0, 0.7, 0)
    # Of the left one 78 x 56 of 80 x 60 pixels are covered, 0.91.
    assert merged({WHOLE: [large], UPPER_LEFT: [left], UPPER_RIGHT: [right]}) == [large]


def test_a_bad_guess_at_something_large_wipes_out_nothing() -> None:
    cut, guess = (60.0, 40.0, 100.0, 50.0, 0.9, 0), (0.0, 0.0, 180.0, 180.0, 0.44, 0)
    assert merged({WHOLE: [guess], UPPER_LEFT: [cut]}) == [cut, guess]
    half_as_sure = (*guess[:4], 0.46, 0)
    assert merged({WHOLE: [half_as_sure], UPPER_LEFT: [cut]}) == [half_as_sure]


def test_a_whole_object_of_another_class_or_place_covers_nothing() -> None:
    cut = (60.0, 40.0, 100.0, 50.0, 0.9, 0)
    another_class, aside = (55.0, 35.0, 130.0, 55.0, 0.8, 1), (80.0, 40.0, 130.0, 50.0, 0.8, 0)  # half of it
    assert merged({WHOLE: [another_class, aside], UPPER_LEFT: [cut]}) == [cut, another_class, aside]


def test_a_cut_object_stays_where_nothing_else_shows_it() -> None:
    cut = (60.0, 40.0, 100.0, 50.0, 0.9, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [cut], UPPER_RIGHT: []}) == [cut]


def test_pieces_that_agree_in_the_overlap_are_one_object() -> None:
    left, right = (40.0, 30.0, 100.0, 60.0, 0.7, 0), (80.0, 30.0, 150.0, 60.0, 0.9, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [left], UPPER_RIGHT: [right]}) == [(40.0, 30.0, 150.0, 60.0, 0.9, 0)]
    # Both see columns 80..100: rows 30..60 here, and 45..75 there: IoU 15 / 45, which is another object.
    lower = (80.0, 45.0, 150.0, 75.0, 0.9, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [left], UPPER_RIGHT: [lower]}) == [lower, left]
    of_another_class = (*right[:5], 1)
    assert merged({WHOLE: [], UPPER_LEFT: [left], UPPER_RIGHT: [of_another_class]}) == [of_another_class, left]


def test_four_pieces_around_a_corner_are_one_object() -> None:
    parts: dict[Tile, list[Row]] = {
        WHOLE: [],
        UPPER_LEFT: [(50.0, 60.0, 100.0, 100.0, 0.6, 0)],
        UPPER_RIGHT: [(80.0, 60.0, 130.0, 100.0, 0.7, 0)],
        LOWER_LEFT: [(50.0, 80.0, 100.0, 140.0, 0.8, 0)],
        LOWER_RIGHT: [(80.0, 80.0, 130.0, 140.0, 0.5, 0), (150.0, 150.0, 180.0, 180.0, 0.9, 0)],
    }
    assert merged(parts) == [(150.0, 150.0, 180.0, 180.0, 0.9, 0), (50.0, 60.0, 130.0, 140.0, 0.8, 0)]


def test_pieces_of_one_tile_are_never_joined() -> None:
    one, other = (40.0, 30.0, 100.0, 60.0, 0.7, 0), (60.0, 30.0, 100.0, 60.0, 0.6, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [one, other]}, nms_iou=0.9) == [one, other]


def test_tiles_that_share_nothing_have_nothing_to_agree_about() -> None:
    left, right = Tile(0, 0, 90, 180), Tile(90, 0, 180, 180)
    pieces = (40.0, 30.0, 90.0, 60.0, 0.7, 0), (90.0, 30.0, 150.0, 60.0, 0.9, 0)
    assert merged({WHOLE: [], left: [pieces[0]], right: [pieces[1]]}) == [pieces[1], pieces[0]]


def test_near_is_a_hundredth_of_the_tile_and_the_border_of_the_image_cuts_nothing() -> None:
    # Of 100 pixels one. In the order left, upper, right, lower border of the tile.
    places = boxes_of([[80, 80, 180, 180]] * 2 + [[0, 0, 100, 100]] * 2 + [[0, 0, 100, 100], [80, 80, 180, 180]])
    at: list[list[float]] = [[81, 120, 90, 130], [120, 81, 130, 90], [90, 50, 99, 60], [50, 90, 60, 99]]
    free = [[81.1, 120, 90, 130], [120, 81.1, 130, 90], [90, 50, 98.9, 60], [50, 90, 60, 98.9]]
    at_the_image: list[list[float]] = [[0, 0, 50, 50], [130, 130, 180, 180]]
    assert merging._is_cut(boxes_of(at + at_the_image), places, SIZE).tolist() == [True] * 4 + [False] * 2
    assert merging._is_cut(boxes_of(free + at_the_image), places, SIZE).tolist() == [False] * 6
    # A hundredth of 800 is 8; the tile is 800 wide and 50 high, in an image that is as high.
    [cut, whole] = merging._is_cut(
        boxes_of([[700, 10, 792, 20], [700, 10, 791, 50]]), boxes_of([[0, 0, 800, 50]] * 2), ImageSize(50, 900)
    ).tolist()
    assert (cut, whole) == (True, False)


def test_one_after_the_other_is_one_chain() -> None:
    pairs = torch.tensor([[5, 4], [4, 3], [3, 2], [0, 1]])
    assert merging._connected(7, pairs).tolist() == [0, 0, 2, 2, 2, 2, 6]
    assert merging._connected(2, pairs[:0]).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_parts_changes_nothing(seed: int) -> None:
    """Random boxes of two classes, clipped to their tiles, so that many are cut."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for tile in (WHOLE, UPPER_LEFT, UPPER_RIGHT, LOWER_LEFT, LOWER_RIGHT):
        start = torch.rand(30, 2, generator=generator) * 170
        boxes = torch.cat((start, start + 5 + torch.rand(30, 2, generator=generator) * 60), dim=1)
        low, high = boxes.new_tensor([*tile[:2]] * 2), boxes.new_tensor([*tile[2:]] * 2)
        scores, labels = torch.rand(30, generator=generator), torch.randint(0, 2, (30,), generator=generator)
        parts.append((tile, Detections(boxes.clamp(min=low).clamp(max=high), scores, labels)))
    found, turned = merge(parts, SIZE, 0.5), merge(parts[::-1], SIZE, 0.5)
    assert 0 < len(found) < 150
    assert_close(found.boxes, turned.boxes)
    assert_close(found.scores, turned.scores)
    assert torch.equal(found.labels, turned.labels)
