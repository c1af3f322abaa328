from __future__ import annotations

import pytest

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.anchors import plot_anchors, plot_grid
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.marks import POSITIVE
from faster_rcnn.reporting.drawing.colours import colour_of
from tiny import COARSE


def test_each_anchor_of_the_position_has_a_colour() -> None:
    explained = tiny_explained()
    picture = plot_anchors(explained.recording, explained.fates[0], (64.0, 48.0), 1)
    assert picture.width == WIDTH
    assert all(pixels_of(picture, colour_of(shape)) > 200 for shape in range(3))
    assert pixels_of(picture, colour_of(3)) == 0


def test_anchors_lie_where_the_mouse_points() -> None:
    explained = tiny_explained()
    left = plot_anchors(explained.recording, explained.fates[0], (20.0, 48.0), 0)
    right = plot_anchors(explained.recording, explained.fates[0], (110.0, 48.0), 0)
    # The image fills the columns 16 to 492; the key is below it.
    for picture, box in ((left, (16, 60, 254, 380)), (right, (254, 60, 492, 380))):
        assert pixels_of(picture, colour_of(0), box) > 100
    assert pixels_of(left, colour_of(0), (254, 60, 492, 380)) == 0
    assert pixels_of(right, colour_of(0), (16, 60, 254, 380)) == 0


def test_by_default_the_anchor_of_the_best_detection_is_drawn() -> None:
    explained = tiny_explained()
    recording, fates = explained.recording, explained.fates[0]
    box = explained.life(0).anchor_box
    assert box is not None
    own = plot_anchors(recording, fates)
    level = next(level for level in range(5) if not differ(own, plot_anchors(recording, fates, level=level)))
    point = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    assert not differ(own, plot_anchors(recording, fates, point, level))


def test_a_point_outside_the_image_and_a_detector_without_anchors() -> None:
    explained = tiny_explained()
    with pytest.raises(OptionError, match="choose a point inside it"):
        plot_anchors(explained.recording, explained.fates[0], (500.0, 10.0))
    external = tiny_explained(kind="fast-rcnn")
    for draw in (plot_anchors, plot_grid):
        with pytest.raises(OptionError, match="no anchors"):
            draw(external.recording, external.fates[0])


def test_a_level_without_anchors_cannot_be_chosen() -> None:
    explained = tiny_explained(rpn={"anchor_sizes": COARSE})
    recording, fates = explained.recording, explained.fates[0]
    message = r"level 0 has no anchors; the levels with anchors are 1 \(P3\), 2 \(P4\), 3 \(P5\), 4 \(P6\)"
    with pytest.raises(OptionError, match=f"E125 {message}"):
        plot_anchors(recording, fates, level=0)
    with pytest.raises(OptionError, match=r"level 5: this detector has the levels 0 \(P2\), 1 \(P3\)"):
        plot_anchors(recording, fates, level=5)
    assert pixels_of(plot_anchors(recording, fates, (64.0, 48.0), 1), colour_of(5)) > 100
    assert pixels_of(plot_grid(recording, fates), colour_of(5)) > 100


def test_the_grid_shows_positions_and_the_anchors_of_one() -> None:
    explained = tiny_explained()
    picture = plot_grid(explained.recording, explained.fates[0])
    assert picture.width == WIDTH
    assert pixels_of(picture, POSITIVE) > 1000
    assert all(pixels_of(picture, colour_of(shape)) > 300 for shape in range(3))


def test_a_fine_grid_is_thinned() -> None:
    # 64 x 640 pixels: 160 positions in a row of P2, of which every fifth is drawn.
    wide = tiny_explained(size=(64, 640), image={"short_side": 64, "long_side": 640})
    picture = plot_grid(wide.recording, wide.fates[0])
    few = tiny_explained(size=(64, 128))
    per_dot = pixels_of(plot_grid(few.recording, few.fates[0]), POSITIVE)
    assert pixels_of(picture, POSITIVE) < per_dot
