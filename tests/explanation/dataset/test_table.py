from __future__ import annotations

from faster_rcnn.explanation.causes.kinds import Thresholds, VerdictKind
from faster_rcnn.explanation.causes.retries import Change
from faster_rcnn.explanation.dataset.advice import DataAdvice, Followed
from faster_rcnn.explanation.dataset.funnel import funnel_of
from faster_rcnn.explanation.dataset.impact import impact_of, tide_of
from faster_rcnn.explanation.dataset.table import (
    advice_lines,
    false_positive_lines,
    funnel_lines,
    group_lines,
    oracle_lines,
)
from made_surveys import CLASSES, judged_image, judged_truth, record_of

IMAGE = judged_image(record_of([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 0]), [([80, 0, 90, 10], 0.9, 0)])
IMPACT = impact_of([IMAGE], CLASSES)


def test_the_funnel_has_a_line_for_each_verdict_and_adds_up() -> None:
    lines = funnel_lines(funnel_of(IMAGE.truths, CLASSES.names[:1]), IMPACT)  # type: ignore[arg-type]
    assert lines[0].split()[:2] == ["truths", "2"]
    assert next(line for line in lines if line.startswith("background")).split() == [
        *("background", "2", "0", "1.000", "+1.000"),
    ]
    assert lines[-1].split() == ["found", "0", "0.0", "%"]
    assert len(lines) == len(VerdictKind) + 1


def test_false_positives_have_the_name_of_tide() -> None:
    lines = false_positive_lines(IMPACT, tide_of([IMAGE], CLASSES, Thresholds(0.5)))
    assert next(line for line in lines if line.startswith("background")).split() == [
        *("background", "1", "0.000", "+0.000", "Bkg", "0.000"),
    ]
    assert false_positive_lines(IMPACT, None)[-1] == "TIDE's numbers need hotcoco, which cannot be imported"


def test_lines_fit_a_terminal_of_80_columns() -> None:
    long = "a very long name of a class, with 43 letters"
    funnel = funnel_of([judged_truth(VerdictKind.SUPPRESSED_DETECTION, long)] * 1000, [long])
    tide = tide_of([IMAGE], CLASSES, Thresholds(0.5))
    lines = [*funnel_lines(funnel, IMPACT), *false_positive_lines(IMPACT, tide), *oracle_lines(IMPACT)]
    assert max(map(len, [*lines, *group_lines(funnel)])) <= 80


def test_a_group_names_its_most_frequent_verdict() -> None:
    truths = [judged_truth(VerdictKind.FOUND), *(judged_truth(VerdictKind.LOW_SCORE),) * 2]
    lines = group_lines(funnel_of([*truths, judged_truth(VerdictKind.NO_ANCHOR)], ["cat", "dog"]))
    assert lines[1].split() == ["cat", "(class)", "4", "25.0", "%", "low-score", "(2)"]
    assert not any("dog" in line for line in lines)  # it has no truth


def test_advice_has_what_was_tried_and_what_was_measured() -> None:
    change = Change("image.short_side", 800, ("image.long_side=1200",))
    followed = (Followed(Change("conf", 0.31), 3, 0.0, 0.0, 1, 9), Followed(change, 1, 0.25, 0.5, 2, 8))
    advice = DataAdvice(8, 5, {"conf": 3, "image.short_side": 1}, followed)
    lines = advice_lines(advice, funnel_of(IMAGE.truths, ["cat"]), IMPACT)
    assert lines[0] == "advice, tried on 5 of 8 missed truths"
    assert [line.split() for line in lines[1:4]] == [
        ["3", "found", "by", "conf"],
        ["1", "found", "by", "image.short_side"],
        ["1", "found", "by", "no", "single", "setting"],
    ]
    assert lines[5].split() == ["as", "it", "is", "0.000", "0", "1"]
    assert lines[6].split() == ["--conf", "0.31", "0.000", "+0.000", "1", "9"]
    assert lines[7] == "--set image.short_side=800 image.long_side=1200"
    assert lines[8].split() == ["0.250", "+0.250", "2", "8"]
    assert max(map(len, lines)) <= 80
    assert advice_lines(DataAdvice(0, 0, {}, ()), funnel_of([], []), IMPACT) == []
