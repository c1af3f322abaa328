from __future__ import annotations

from typing import Any

import jaxtyping
import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.causes.truths import truth_given
from faster_rcnn.structures import ClassMap
from files import CLASSES
from tiny import truth_of


def test_names_and_boxes_become_a_truth() -> None:
    truth = truth_given([("dog", (1, 2, 3, 4)), ("cat", [0.5, 0, 9, 9])], CLASSES)
    assert truth is not None
    assert truth.boxes.tolist() == [[1, 2, 3, 4], [0.5, 0, 9, 9]]
    assert truth.labels.tolist() == [1, 0]
    assert not truth.ignored.any()


def test_a_value_stays_as_it_is_and_nothing_stays_nothing() -> None:
    truth = truth_of([(0, 0, 1, 1)], labels=[2])
    assert truth_given(truth, CLASSES) is truth
    assert truth_given(None, CLASSES) is None
    empty = truth_given([], CLASSES)
    assert empty is not None
    assert empty.boxes.shape == (0, 4)
    assert truth_given(truth_of([]), CLASSES) is not None


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (truth_of([(0, 0, 1, 1)], labels=[3]), r"^E125 truth: labels must be in 0\.\.2, the labels of the detector$"),
        (truth_of([(0, 0, 1, 1)], labels=[-1]), r"labels must be in 0\.\.2"),
        ([("cow", (0, 0, 1, 1)), ("horse", (0, 0, 1, 1))], r"^E125 truth 1: the detector has no class 'horse'; it has"),
        ([("cat", (0, 0, 1))], r"^E125 truth 0 \(counted from 0\) is \('cat', \(0, 0, 1\)\); give a class name and a"),
        (["cat"], "give a class name and a box"),
        ([("cat", (5, 0, 1, 1))], "is no box with x1 < x2"),
        ([("cat", (0, 0, 0, 1))], "is no box with x1 < x2"),
        ([("cat", (0, 0, float("nan"), 1))], "is no box with x1 < x2"),
        ([("cat", (0, 0, float("inf"), 1))], "is no box with x1 < x2"),
        ([(None, (0, 0, 1, 1))], "the detector has no class None"),
    ],
)
def test_other_things_are_refused(truth: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users have no type checks
    with pytest.raises(OptionError, match=message):
        truth_given(truth, CLASSES)


def test_an_unused_output_is_no_class() -> None:
    with pytest.raises(OptionError, match=r"no class 'None'; it has \['cat'\]"):
        truth_given([("None", (0, 0, 1, 1))], ClassMap((None, "cat"), (0, 1)))
