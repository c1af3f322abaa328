from __future__ import annotations

import csv
import io
from dataclasses import replace

from faster_rcnn.explanation.causes.false_positives import FalseKind
from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.dataset.label_errors import MISSING, WRONG_CLASS, csv_of, label_errors
from faster_rcnn.explanation.dataset.labels import Neighbour
from made_surveys import CLASSES, judged_image, record_of

BOX, FAR = [0, 0, 10, 10], [50.5, 50, 60, 80]
NEAR = (Neighbour("a, b.png", 0, (1.0, 2.0, 3.0, 4.0), 0.75),)


def image(verdict: VerdictKind) -> JudgedImage:
    """A cat that is found as a dog, and a cat on background."""
    found = judged_image(record_of([BOX], [0]), [(BOX, 0.8, 1), (FAR, 0.7, 0)], [verdict])
    assert [each.kind for each in found.false_positives] == [FalseKind.WRONG_CLASS, FalseKind.BACKGROUND]
    wrong, background = found.false_positives
    return replace(
        found,
        false_positives=(wrong, replace(background, kind=FalseKind.MISSING_LABEL)),
        neighbours={background.detection: NEAR},
    )


def test_the_most_certain_error_is_first() -> None:
    found = label_errors([image(VerdictKind.OTHER_CLASS)], CLASSES)
    assert [(each.error, each.class_name, each.labelled) for each in found] == [
        (WRONG_CLASS, "dog", "cat"),
        (MISSING, "cat", ""),
    ]
    assert found[0].box == (0.0, 0.0, 10.0, 10.0)
    assert found[1].neighbours == NEAR


def test_a_label_that_the_detector_finds_is_right() -> None:
    """It is found besides, so the other class is the detector's error."""
    assert [each.error for each in label_errors([image(VerdictKind.FOUND)], CLASSES)] == [MISSING]


def test_the_table_has_a_column_for_each_number() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_of(label_errors([image(VerdictKind.OTHER_CLASS)], CLASSES)))))
    assert rows[1]["score"] == "0.7000"
    assert (rows[1]["x1"], rows[1]["y2"]) == ("50.50", "80.00")
    assert rows[1]["similar_1_image"] == "a, b.png"
    assert (rows[1]["similar_1_box"], rows[1]["similar_1_cosine"]) == ("1.00 2.00 3.00 4.00", "0.7500")
    assert rows[0]["labelled"] == "cat"


def test_no_error_is_a_table_of_names() -> None:
    assert csv_of([]).startswith("image,error,class,score,x1,y1,x2,y2,labelled,similar_1_image,")
    assert csv_of([]).count("\n") == 1
