from __future__ import annotations

import pytest
import torch

from faster_rcnn.explanation.causes.false_positives import TIDE_NAMES, FalseKind, FalsePositive, false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.structures import Detections
from tiny import boxes_of, truth_of

TRUTH = (0.0, 0.0, 10.0, 10.0)
HALF = Thresholds(0.5, 0.5)


def false_of(*rows: tuple[tuple[float, ...], int], ignored: bool = False) -> tuple[FalsePositive, ...]:
    """The false ones of detections, each a box and a label, best first, where one truth of class 0 exists."""
    scores = torch.linspace(0.9, 0.6, len(rows))
    found = Detections(boxes_of([row[0] for row in rows]), scores, torch.tensor([row[1] for row in rows]))
    return false_positives(found, truth_of([TRUTH], ignored=[ignored]), HALF)


@pytest.mark.parametrize(
    ("box", "label", "kind", "truth", "iou"),
    [
        ((0, 0, 10, 25), 0, FalseKind.LOOSE_BOX, 0, 0.4),  # 100 of 250
        ((0, 0, 10, 12.5), 1, FalseKind.WRONG_CLASS, 0, 0.8),
        ((0, 0, 10, 25), 1, FalseKind.WRONG_AND_LOOSE, 0, 0.4),
        ((0, 0, 10, 200), 0, FalseKind.BACKGROUND, None, 0.05),
        ((50, 50, 60, 60), 1, FalseKind.BACKGROUND, None, 0),
    ],
)
def test_each_kind(box: tuple[float, ...], label: int, kind: FalseKind, truth: int | None, iou: float) -> None:
    [found] = false_of((box, label))
    assert (found.kind, found.truth, found.detection, found.label) == (kind, truth, 0, label)
    assert found.iou == pytest.approx(iou)
    assert found.score == pytest.approx(0.9)


def test_a_duplicate_lies_on_a_truth_that_has_a_better_detection() -> None:
    [found] = false_of((TRUTH, 0), ((0, 0, 10, 12.5), 0))
    assert (found.kind, found.detection, found.truth, found.tide) == (FalseKind.DUPLICATE, 1, 0, "Dupe")
    assert found.iou == pytest.approx(0.8)


def test_the_truth_of_its_own_class_decides_before_a_better_one_of_another() -> None:
    """TIDE asks first whether the box would be right if it were tighter."""
    truth = truth_of([(0, 0, 10, 25), TRUTH], labels=[0, 1])
    found = Detections(boxes_of([TRUTH]), torch.tensor([0.9]), torch.tensor([0]))
    [one] = false_positives(found, truth, HALF)
    assert (one.kind, one.truth) == (FalseKind.LOOSE_BOX, 0)


def test_on_an_ignored_truth_nothing_is_false_and_beside_it_everything_is() -> None:
    assert false_of((TRUTH, 0), ((0, 0, 5, 5), 0), ignored=True) == ()
    [found] = false_of(((50, 50, 60, 60), 0), ignored=True)
    assert (found.kind, found.iou) == (FalseKind.BACKGROUND, 0)


def test_detections_that_are_not_reported_are_not_judged() -> None:
    found = Detections(boxes_of([TRUTH, (50, 50, 60, 60)]), torch.tensor([0.9, 0.49]), torch.tensor([0, 0]))
    assert false_positives(found, truth_of([TRUTH]), HALF) == ()


def test_each_kind_has_a_name_of_tide() -> None:
    assert set(TIDE_NAMES) == set(FalseKind)
    assert set(TIDE_NAMES.values()) == {"Loc", "Cls", "Dupe", "Bkg", "Both"}
