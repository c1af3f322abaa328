from __future__ import annotations

import pytest

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.transforms import nearest_truth, plot_first_transform, plot_second_transform
from faster_rcnn.reporting.drawing.colours import colour_of
from tiny import truth_of

TRUTH = truth_of(
    [[10.0, 10.0, 20.0, 20.0], [40.0, 10.0, 60.0, 30.0], [100.0, 0.0, 110.0, 10.0]], None, [False, False, True]
)


def test_iou_before_and_after_a_transform() -> None:
    recording = tiny_explained(TRUTH).recording
    # Before: 50 of 100 + 100 - 50. After: 100 of 100 + 120 - 100.
    found = nearest_truth(recording, (15.0, 10.0, 25.0, 20.0), (10.0, 10.0, 22.0, 20.0))
    assert found is not None
    assert found.truth == 0
    assert found.before == pytest.approx(1 / 3)
    assert found.after == pytest.approx(100 / 120)


def test_ignored_truths_and_boxes_without_a_truth() -> None:
    recording = tiny_explained(TRUTH).recording
    assert nearest_truth(recording, (100.0, 0.0, 110.0, 10.0), (100.0, 0.0, 110.0, 10.0)) is None
    assert nearest_truth(tiny_explained().recording, (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)) is None
    assert nearest_truth(tiny_explained(truth_of([])).recording, (0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)) is None


def test_each_move_has_its_colour() -> None:
    explained = tiny_explained()
    picture = plot_first_transform(explained.recording, explained.fates[0], top=3)
    assert picture.width == WIDTH
    assert all(pixels_of(picture, colour_of(index)) > 200 for index in range(3))
    assert pixels_of(picture, colour_of(3)) == 0


def test_one_proposal_and_one_detection() -> None:
    explained = tiny_explained()
    recording, fates = explained.recording, explained.fates[0]
    one = plot_first_transform(recording, fates, 7)
    assert pixels_of(one, colour_of(0)) > 200
    assert pixels_of(one, colour_of(1)) == 0
    assert differ(one, plot_first_transform(recording, fates, 8))
    assert differ(plot_second_transform(recording, fates, 0), plot_second_transform(recording, fates, 1))
    with pytest.raises(OptionError, match="detection 1000"):
        plot_second_transform(recording, fates, 1000)


def test_a_truth_changes_the_picture() -> None:
    plain = tiny_explained()
    box = plain.life(0).box
    assert box is not None
    known = tiny_explained(truth_of([list(box)]))
    for draw in (plot_first_transform, plot_second_transform):
        assert differ(draw(plain.recording, plain.fates[0]), draw(known.recording, known.fates[0]))


def test_without_detections_the_best_proposals_are_followed() -> None:
    for explained in (tiny_explained(conf=1.0), tiny_explained(roi={"score_floor": 0.9999, "head_hidden": (32,)})):
        picture = plot_second_transform(explained.recording, explained.fates[0])
        assert pixels_of(picture, colour_of(0)) > 200


def test_stages_that_a_detector_lacks() -> None:
    external, alone = tiny_explained(kind="fast-rcnn"), tiny_explained(kind="rpn")
    with pytest.raises(OptionError, match="no anchors"):
        plot_first_transform(external.recording, external.fates[0])
    with pytest.raises(OptionError, match="no regions"):
        plot_second_transform(alone.recording, alone.fates[0])
    assert plot_second_transform(external.recording, external.fates[0]).width == WIDTH
    assert plot_first_transform(alone.recording, alone.fates[0]).width == WIDTH
