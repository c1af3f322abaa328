"""Probable label errors as a table: labels that are missing, and labels of the wrong class."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faster_rcnn.explanation.causes.false_positives import FalseKind
from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.dataset.labels import SHOWN, Neighbour
from faster_rcnn.explanation.record.lives import Corners, corners
from faster_rcnn.structures import ClassMap

MISSING, WRONG_CLASS = "missing-label", "wrong-class"
COLUMNS = ("image", "error", "class", "score", "x1", "y1", "x2", "y2", "labelled")
"""Columns of each row; then three for each of the nearest training regions."""


@dataclass(frozen=True, slots=True)
class LabelError:
    """One label that is probably wrong, or not there."""

    image: str
    error: str
    """``MISSING`` or ``WRONG_CLASS``."""
    class_name: str
    """The class that the detector finds."""
    score: float
    """Score of the detection, 0..1."""
    box: Corners
    """The box that is probably right, in pixels of the image."""
    labelled: str
    """The class that the label has now; empty where there is none."""
    neighbours: tuple[Neighbour, ...] = ()
    """Labelled regions of training images that resemble a missing label."""


def label_errors(images: Sequence[JudgedImage], classes: ClassMap) -> list[LabelError]:
    """The probable label errors of judged images, the detection with the highest score first.

    A label is missing where a false positive is of this kind. It is of the wrong class where a reported detection of
    another class lies well on it, and the second stage takes its own regions for another class, too.
    """
    found = [error for image in images for error in _of_image(image, classes)]
    return sorted(found, key=lambda each: -each.score)


def _of_image(image: JudgedImage, classes: ClassMap) -> Iterator[LabelError]:
    verdicts = {each.verdict.truth: each.verdict.kind for each in image.truths}
    for each in image.false_positives:
        place, box = str(image.record.path), corners(image.detections.boxes[each.detection])
        name = classes.name_of(each.label)
        if each.kind == FalseKind.MISSING_LABEL:
            near = image.neighbours.get(each.detection, ())
            yield LabelError(place, MISSING, name, each.score, box, "", near)
        on = each.truth if each.kind == FalseKind.WRONG_CLASS else None
        if on is not None and verdicts.get(on) == VerdictKind.OTHER_CLASS:
            labelled = classes.name_of(int(image.record.truth.labels[on]))
            yield LabelError(place, WRONG_CLASS, name, each.score, corners(image.record.truth.boxes[on]), labelled)


def csv_of(errors: Sequence[LabelError]) -> str:
    """The errors as CSV with a line of column names; numbers have two decimals for pixels and four for shares."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    near = [f"similar_{number}_{what}" for number in range(1, SHOWN + 1) for what in ("image", "box", "cosine")]
    writer.writerow([*COLUMNS, *near])
    for each in errors:
        row = [each.image, each.error, each.class_name, f"{each.score:.4f}", *_pixels(each.box), each.labelled]
        for one in each.neighbours:
            row += [one.image, " ".join(_pixels(one.box)), f"{one.similarity:.4f}"]
        writer.writerow(row)
    return text.getvalue()


def _pixels(box: Corners) -> list[str]:
    return [f"{value:.2f}" for value in box]
