from __future__ import annotations

import pytest

from drawn_pictures import pixels_of
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.figure import LINE
from faster_rcnn.explanation.plots.scenes import CAPTION, GROUPS, MIN_WIDTH, film_frames, stops_along
from faster_rcnn.reporting.drawing.colours import colour_of
from tiny import COARSE


@pytest.mark.parametrize("count", [1, 2, 6, 7, 8, 13, 100])
def test_stops_are_few_and_evenly_spread_and_end_at_the_last_position(count: int) -> None:
    stops = stops_along(count)
    assert len(stops) == min(7, count)
    assert stops[-1] == count - 1
    gaps = {after - before for before, after in zip([-1, *stops], stops, strict=False)}
    assert max(gaps) - min(gaps) <= 1


def test_the_film_slides_proposes_and_detects() -> None:
    explained = tiny_explained(size=(96, 128))
    frames = list(film_frames(explained.recording, explained.fates[0], 500))
    # The image, 7 x 7 stops on P2, all of the map; boxes in steps, those after NMS; detections in steps.
    assert len(frames) == 1 + 49 + 1 + GROUPS + 1 + GROUPS
    assert {frame.picture.size for frame in frames} == {(500, 375 + CAPTION * LINE + 8)}
    assert 8_000 <= sum(frame.milliseconds for frame in frames) <= 12_000
    assert {frame.milliseconds % 100 for frame in frames} == {0}
    # Three anchors at each stop, none before.
    assert all(pixels_of(frames[10].picture, colour_of(shape)) > 20 for shape in range(3))
    assert pixels_of(frames[0].picture, colour_of(0)) == 0


def test_the_window_slides_over_a_level_that_has_anchors() -> None:
    explained = tiny_explained(rpn={"anchor_sizes": COARSE})
    frames = list(film_frames(explained.recording, explained.fates[0], 500))
    assert len(frames) > 2 + GROUPS
    assert all(pixels_of(frames[1].picture, colour_of(shape)) > 20 for shape in range(6))


def test_the_map_appears_where_the_window_has_been() -> None:
    explained = tiny_explained(size=(96, 128))
    frames = list(film_frames(explained.recording, explained.fates[0], 500))
    plain, whole = frames[0].picture, frames[50].picture
    half = frames[1 + 4 * 7 - 1].picture  # four of seven rows: 16 * 4 // 7 = 9 of 16 rows of P2
    lower, upper = (0, 300, 500, 370), (0, 0, 500, 100)
    assert half.crop(upper).tobytes() == whole.crop(upper).tobytes()
    assert half.crop(lower).tobytes() == plain.crop(lower).tobytes()


def test_boxes_appear_group_by_group() -> None:
    explained = tiny_explained(size=(96, 128))
    frames = list(film_frames(explained.recording, explained.fates[0], 500))
    label = int(explained.detections.labels[0])
    counts = [pixels_of(frame.picture, colour_of(label)) for frame in frames[-GROUPS:]]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_first_stage_alone_ends_with_its_proposals_and_one_without_detections_with_the_image() -> None:
    alone, nothing = tiny_explained(kind="rpn"), tiny_explained(conf=1.0)
    assert len(list(film_frames(alone.recording, alone.fates[0], 500))) == 1 + 49 + 1 + GROUPS + 1
    assert len(list(film_frames(nothing.recording, nothing.fates[0], 500))) == 1 + 49 + 1 + GROUPS + 1 + 1


def test_a_narrow_image_keeps_room_for_its_caption() -> None:
    explained = tiny_explained(size=(300, 30))
    frame = next(iter(film_frames(explained.recording, explained.fates[0], 500)))
    assert frame.picture.width == MIN_WIDTH


def test_external_proposals_have_no_window() -> None:
    explained = tiny_explained(kind="fast-rcnn")
    with pytest.raises(OptionError, match="no anchors"):
        list(film_frames(explained.recording, explained.fates[0], 500))
