from __future__ import annotations

from drawn_pictures import differ, pixels_of
from explained_images import tiny_explained
from faster_rcnn.explanation.plots.detections import MISSED, plot_detections
from faster_rcnn.explanation.plots.figure import WIDTH
from faster_rcnn.explanation.plots.marks import NEGATIVE, POSITIVE
from faster_rcnn.reporting.drawing.colours import colour_of
from tiny import truth_of

HIGH = 770
"""The rows of the first image, of 968 x 726 pixels, and its title."""


def test_detections_have_the_colours_of_their_classes() -> None:
    explained = tiny_explained()
    picture = plot_detections(explained.recording)
    assert picture.width == WIDTH
    labels = set(explained.detections.labels.tolist())
    assert len(explained.detections) > 0
    assert all(pixels_of(picture, colour_of(label)) > 200 for label in labels)
    assert all(pixels_of(picture, colour_of(label)) == 0 for label in set(range(3)) - labels)


def test_what_was_found_missed_and_false_is_marked() -> None:
    plain = tiny_explained()
    box, label = plain.detections.boxes[0].tolist(), int(plain.detections.labels[0])
    explained = tiny_explained(truth_of([box, [60.0, 5.0, 120.0, 90.0]], [label, (label + 1) % 3]))
    assert [verdict.missed for verdict in explained.verdicts] == [False, True]
    picture = plot_detections(explained.recording, explained.verdicts, explained.false_positives)
    below = (0, HIGH, WIDTH, picture.height - 40)
    for colour in (POSITIVE, MISSED, NEGATIVE):
        assert pixels_of(picture, colour, below) > 200
    assert differ(picture, plot_detections(plain.recording))


def test_no_detection_leaves_the_image_and_names_the_best_score() -> None:
    explained, other = tiny_explained(conf=1.0), tiny_explained(conf=0.99)
    picture = plot_detections(explained.recording)
    assert all(pixels_of(picture, colour_of(label)) == 0 for label in range(3))
    assert differ(picture, plot_detections(other.recording))


def test_an_image_without_objects_and_without_detections() -> None:
    explained = tiny_explained(truth_of([]), conf=1.0)
    picture = plot_detections(explained.recording, explained.verdicts, explained.false_positives)
    assert pixels_of(picture, POSITIVE, (0, HIGH, WIDTH, picture.height - 40)) == 0
