from __future__ import annotations

from faster_rcnn.evaluation.bootstrap import BootstrapInterval
from faster_rcnn.evaluation.change import MetricChange, metric_lines
from faster_rcnn.explanation.causes.kinds import Verdict, VerdictKind
from faster_rcnn.explanation.dataset.change_table import (
    class_lines,
    truth_lines,
    verdict_lines,
)
from faster_rcnn.explanation.dataset.pairs import TruthPair

FOUND, LOOSE, LOW = VerdictKind.FOUND, VerdictKind.LOOSE_BOX, VerdictKind.LOW_SCORE


def pair(before: VerdictKind, after: VerdictKind, name: str = "cat") -> TruthPair:
    box = (0.0, 0.0, 1.0, 1.0)
    return TruthPair(0, name, box, Verdict(0, 0, before, None), Verdict(0, 0, after, None))


PAIRS = [
    *[pair(FOUND, FOUND)] * 3,
    *[pair(LOOSE, FOUND)] * 2,
    pair(LOW, FOUND),
    pair(FOUND, LOOSE, "dog"),
    pair(LOW, LOOSE, "dog"),
]


def test_truths_add_up() -> None:
    assert [line.split()[-1] for line in truth_lines(PAIRS)] == ["8", "3", "3", "1", "1"]


def test_gained_truths_have_the_verdict_before_and_lost_ones_that_after() -> None:
    assert verdict_lines(PAIRS) == [
        "verdict               gained (missed so before)   lost (missed so after)",
        "loose-box                  2                        1",
        "low-score                  1                        0",
    ]
    assert verdict_lines([pair(FOUND, FOUND), pair(LOW, LOOSE)]) == ["no truth was gained or lost"]


def test_classes_have_the_share_that_each_detector_finds() -> None:
    assert class_lines(PAIRS, ["cat", "cow", "dog", "\x1b[31mred"]) == [
        "class                 truths  before   after  gained    lost",
        "cat                        6   50.0%  100.0%       3       0",
        "dog                        2   50.0%    0.0%       0       1",
    ]
    assert "\x1b" not in class_lines([pair(FOUND, FOUND, "\x1b[31mred")], ["\x1b[31mred"])[1]


def test_lines_fit_into_80_columns() -> None:
    long = "a very long name of a class that no table holds"
    changes = {"AP": MetricChange(0.5, 0.53, BootstrapInterval(0.011, 0.049, 0.999))}
    lines = [*metric_lines(changes), *truth_lines(PAIRS), *verdict_lines(PAIRS)]
    lines += class_lines([pair(FOUND, LOW, long)] * 100_000, [long])
    assert max(map(len, lines)) <= 80
