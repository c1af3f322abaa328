"""The rule of merging, on hand-made detections; tiles of 100 pixels that share 20, in an image of 180 x 180."""

from __future__ import annotations

from dataclasses import replace

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
"""A detection: x1, y1, x2, y2, score, label."""


def of(*rows: Row) -> Detections:
    """Detections of some rows, best first as a detector gives them."""
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


def with_proposals(found: Detections, *proposals: int) -> Detections:
    """Detections with the index of the proposal of each."""
    return replace(found, proposals=torch.tensor(proposals, dtype=torch.int64))


def origins(parts: list[tuple[Tile, Detections]]) -> list[tuple[float, int, int]]:
    """Score, part and proposal of each merged detection."""
    found = merge(parts, SIZE, 0.5)
    assert found.parts is not None
    assert found.proposals is not None
    rows = zip(found.scores.tolist(), found.parts.tolist(), found.proposals.tolist(), strict=True)
    return [(round(score, 4), part, proposal) for score, part, proposal in rows]


def test_the_tiles_are_those_of_the_first_line() -> None:
    places = [tuple(tile) for tile in (UPPER_LEFT, LOWER_RIGHT)]
    assert places == [(0, 0, 100, 100), (80, 80, 180, 180)]


def test_nothing_is_merged_to_nothing() -> None:
    assert merged({WHOLE: [], UPPER_LEFT: [], UPPER_RIGHT: []}) == []


def test_detections_of_only_one_part_stay_and_the_best_is_first() -> None:
    one, other, third = (
        (5.0, 5.0, 25.0, 25.0, 0.6, 0),
        (120.0, 5.0, 140.0, 25.0, 0.9, 1),
        (0.0, 0.0, 180.0, 180.0, 0.7, 2),
    )
    assert merged({WHOLE: [third], UPPER_LEFT: [one], UPPER_RIGHT: [other]}) == [other, third, one]


def test_of_duplicates_in_the_overlap_the_best_stays() -> None:
    # IoU of 85..95 and 86..96, both 10 high: 9 / 11 = 0.82.
    better, worse = (85.0, 40.0, 95.0, 50.0, 0.9, 0), (86.0, 40.0, 96.0, 50.0, 0.8, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [worse], UPPER_RIGHT: [better]}) == [better]
    assert merged({WHOLE: [], UPPER_LEFT: [worse], UPPER_RIGHT: [better]}, nms_iou=0.9) == [better, worse]
    of_another_class = (*worse[:5], 1)
    assert merged({WHOLE: [], UPPER_LEFT: [of_another_class], UPPER_RIGHT: [better]}) == [better, of_another_class]


def test_a_cut_detection_is_dropped_where_the_neighbour_has_it_whole_even_with_a_lower_score() -> None:
    cut, whole = (84.0, 40.0, 100.0, 50.0, 0.95, 0), (84.0, 40.0, 120.0, 50.0, 0.6, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [cut], UPPER_RIGHT: [whole]}) == [whole]
    # Their IoU is 16 / 36, so NMS alone would have kept both.


def test_a_cut_detection_is_dropped_where_the_whole_image_has_it_whole() -> None:
    left, right = (20.0, 30.0, 100.0, 90.0, 0.9, 0), (80.0, 30.0, 160.0, 90.0, 0.8, 0)
    large = (22.0, 32.0, 158.0, 88.0, 0.7, 0)
    # The whole detection covers 78 x 56 of the left one's 80 x 60 pixels, 0.91.
    assert merged({WHOLE: [large], UPPER_LEFT: [left], UPPER_RIGHT: [right]}) == [large]


def test_a_large_detection_of_low_score_drops_no_cut_one() -> None:
    cut, guess = (60.0, 40.0, 100.0, 50.0, 0.9, 0), (0.0, 0.0, 180.0, 180.0, 0.44, 0)
    assert merged({WHOLE: [guess], UPPER_LEFT: [cut]}) == [cut, guess]
    with_half_its_score = (*guess[:4], 0.46, 0)
    assert merged({WHOLE: [with_half_its_score], UPPER_LEFT: [cut]}) == [with_half_its_score]


def test_a_whole_object_of_another_class_or_place_covers_nothing() -> None:
    cut = (60.0, 40.0, 100.0, 50.0, 0.9, 0)
    another_class, aside = (55.0, 35.0, 130.0, 55.0, 0.8, 1), (80.0, 40.0, 130.0, 50.0, 0.8, 0)  # half of it
    assert merged({WHOLE: [another_class, aside], UPPER_LEFT: [cut]}) == [cut, another_class, aside]


def test_a_cut_detection_stays_where_no_other_part_has_it() -> None:
    cut = (60.0, 40.0, 100.0, 50.0, 0.9, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [cut], UPPER_RIGHT: []}) == [cut]


def test_pieces_that_agree_in_the_overlap_are_one_object() -> None:
    left, right = (40.0, 30.0, 100.0, 60.0, 0.7, 0), (80.0, 30.0, 150.0, 60.0, 0.9, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [left], UPPER_RIGHT: [right]}) == [(40.0, 30.0, 150.0, 60.0, 0.9, 0)]
    # Both tiles show columns 80..100, with rows 30..60 here and 45..75 there: IoU 15 / 45, so these are two objects.
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


def test_a_merged_detection_has_the_part_and_the_proposal_of_the_detection_it_was_made_from() -> None:
    alone, large = (5.0, 5.0, 25.0, 25.0, 0.6, 0), (0.0, 0.0, 180.0, 180.0, 0.3, 2)
    better, worse = (85.0, 5.0, 95.0, 15.0, 0.95, 0), (86.0, 5.0, 96.0, 15.0, 0.85, 0)
    left, right = (40.0, 30.0, 100.0, 60.0, 0.7, 1), (80.0, 30.0, 150.0, 60.0, 0.9, 1)
    cut = (150.0, 100.0, 180.0, 180.0, 0.4, 1)  # the border of the image cuts nothing
    parts = [
        (WHOLE, with_proposals(of(large), 11)),
        (UPPER_LEFT, with_proposals(of(worse, left, alone), 21, 22, 23)),
        (UPPER_RIGHT, with_proposals(of(better, right), 31, 32)),
        (LOWER_RIGHT, with_proposals(of(cut), 41)),
    ]
    # ``worse`` is a duplicate of ``better``; ``left`` and ``right`` are joined, and ``right`` has the higher score.
    assert origins(parts) == [(0.95, 2, 31), (0.9, 2, 32), (0.6, 1, 23), (0.4, 3, 41), (0.3, 0, 11)]
    # The first piece in the list is the right one here, and the best is the left one.
    left, right = (*left[:4], 0.92, 1), (*right[:4], 0.5, 1)
    parts = [
        (WHOLE, with_proposals(of())),
        (UPPER_RIGHT, with_proposals(of(right), 5)),
        (UPPER_LEFT, with_proposals(of(left), 6)),
    ]
    assert origins(parts) == [(0.92, 2, 6)]


def test_a_cut_detection_that_gives_way_leaves_no_origin() -> None:
    cut, whole = (84.0, 40.0, 100.0, 50.0, 0.95, 0), (84.0, 40.0, 120.0, 50.0, 0.6, 0)
    parts = [
        (WHOLE, with_proposals(of())),
        (UPPER_LEFT, with_proposals(of(cut), 7)),
        (UPPER_RIGHT, with_proposals(of(whole), 8)),
    ]
    assert origins(parts) == [(0.6, 2, 8)]


def test_merged_detections_have_parts_where_proposals_are_unknown() -> None:
    found = merge([(WHOLE, of((0.0, 0.0, 180.0, 180.0, 0.7, 2))), (UPPER_LEFT, of())], SIZE, 0.5)
    assert found.proposals is None
    assert found.parts is not None
    assert found.parts.tolist() == [0]


def test_pieces_of_one_tile_are_never_joined() -> None:
    one, other = (40.0, 30.0, 100.0, 60.0, 0.7, 0), (60.0, 30.0, 100.0, 60.0, 0.6, 0)
    assert merged({WHOLE: [], UPPER_LEFT: [one, other]}, nms_iou=0.9) == [one, other]


def test_pieces_of_tiles_without_overlap_are_not_joined() -> None:
    left, right = Tile(0, 0, 90, 180), Tile(90, 0, 180, 180)
    pieces = (40.0, 30.0, 90.0, 60.0, 0.7, 0), (90.0, 30.0, 150.0, 60.0, 0.9, 0)
    assert merged({WHOLE: [], left: [pieces[0]], right: [pieces[1]]}) == [pieces[1], pieces[0]]


def test_near_is_a_hundredth_of_the_tile_and_the_border_of_the_image_cuts_nothing() -> None:
    # One of 100 pixels. The boxes are at the left, upper, right and lower border of the tile.
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


def test_pairs_in_a_row_connect_to_the_lowest_index() -> None:
    pairs = torch.tensor([[5, 4], [4, 3], [3, 2], [0, 1]])
    assert merging._connected(7, pairs).tolist() == [0, 0, 2, 2, 2, 2, 6]
    assert merging._connected(2, pairs[:0]).tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_parts_changes_nothing(seed: int) -> None:
    """Merge random boxes of two classes that are clipped to their tiles, so that many are cut."""
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
