from __future__ import annotations

import pytest

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.plots.assignment import plot_assignment, plot_sample
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.marks import NEGATIVE, NEUTRAL, POSITIVE
from tiny import truth_of

TRUTH = truth_of([[8.0, 12.0, 60.0, 70.0], [70.0, 20.0, 120.0, 90.0]], [0, 1])


def test_positive_and_neutral_anchors_and_the_histogram() -> None:
    explained = tiny_explained(TRUTH)
    picture = plot_assignment(explained.recording, explained.fates[0])
    assert picture.width == WIDTH
    # The images fill the rows 43 to 400: positive anchors in the left one, neutral in the right one.
    left, right = (16, 43, 492, 400), (508, 43, 984, 400)
    assert pixels_of(picture, POSITIVE, left) > 500
    assert pixels_of(picture, NEUTRAL, right) > 500
    assert pixels_of(picture, NEUTRAL, left) == pixels_of(picture, POSITIVE, right) == 0
    assert pixels_of(picture, NEGATIVE, (0, 400, WIDTH, picture.height)) > 2000


def test_the_truth_decides() -> None:
    explained, other = tiny_explained(TRUTH), tiny_explained(truth_of([[8.0, 12.0, 60.0, 70.0]]))
    for draw in (plot_assignment, plot_sample):
        assert differ(draw(explained.recording, explained.fates[0]), draw(other.recording, other.fates[0]))


def test_an_image_without_objects_has_negative_anchors_alone() -> None:
    explained = tiny_explained(truth_of([]))
    picture = plot_assignment(explained.recording, explained.fates[0])
    assert pixels_of(picture, POSITIVE, (16, 43, 492, 400)) == 0
    assert pixels_of(picture, NEGATIVE) > 1000


def test_positives_and_negatives_of_the_sample_and_its_seed() -> None:
    explained = tiny_explained(TRUTH)
    picture = plot_sample(explained.recording, explained.fates[0])
    assert pixels_of(picture, POSITIVE, (16, 43, 492, 400)) > 500
    assert pixels_of(picture, NEGATIVE, (508, 43, 984, 400)) > 2000
    assert differ(picture, plot_sample(explained.recording, explained.fates[0], 1))


def test_without_truth_or_anchors_an_error_names_the_remedy() -> None:
    unknown, external = tiny_explained(), tiny_explained(TRUTH, kind="fast-rcnn")
    for draw in (plot_assignment, plot_sample):
        with pytest.raises(OptionError, match=r"E125 .*truth=\.\.\."):
            draw(unknown.recording, unknown.fates[0])
        with pytest.raises(OptionError, match="plot_proposals"):
            draw(external.recording, external.fates[0])
