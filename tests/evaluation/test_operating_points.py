from __future__ import annotations

import numpy as np
import pytest

from faster_rcnn.evaluation.operating_points import Hits

HITS = Hits(np.array([0.9, 0.8, 0.7, 0.6, 0.6, 0.5]), np.array([True, False, True, True, False, False]), 4)


def test_a_threshold_lies_between_what_it_keeps_and_the_next_score() -> None:
    # 0.9: 1 of 1 true, 1 of 4 found; 0.8: 1/2; 0.7: 2/3, 2/4; both of 0.6: 3/5, 3/4; 0.5: 3/6. Better than any with
    # more recall are 0.9, 0.7 and 0.6; the next lower scores are 0.8, 0.6 and 0.5.
    found = [(each.score, each.precision, each.recall) for each in HITS.frontier()]
    assert found == [pytest.approx(each) for each in ((0.85, 1, 0.25), (0.65, 2 / 3, 0.5), (0.55, 3 / 5, 0.75))]


def test_the_last_threshold_lies_between_the_lowest_score_and_nothing() -> None:
    [point] = Hits(np.array([0.8]), np.array([True]), 1).frontier()
    assert (point.score, point.precision, point.recall) == (0.4, 1.0, 1.0)


def test_points_at_a_score() -> None:
    some, none = HITS.at(0.7), HITS.at(0.95)
    assert some is not None
    assert none is not None
    assert (some.precision, some.recall, some.f1) == pytest.approx((2 / 3, 0.5, 4 / 7))
    assert (none.precision, none.recall, none.f1) == (0.0, 0.0, 0.0)


def test_nothing_is_defined_without_truths() -> None:
    nothing = Hits(np.zeros(0), np.zeros(0, dtype=bool), 0)
    assert (nothing.at(0.5), nothing.frontier(), nothing.voc2007(), nothing.voc2012()) == (None, (), None, None)


def test_a_class_without_true_detections_has_no_threshold() -> None:
    missed = Hits(np.array([0.9]), np.array([False]), 2)
    assert (missed.frontier(), missed.voc2007(), missed.voc2012()) == ((), 0.0, 0.0)


def test_ap_by_hand() -> None:
    # Equal scores rank in their order, so precision is 1, 1/2, 2/3, 3/4, 3/5, 3/6. Interpolated: 1 up to recall 1/4,
    # 3/4 up to recall 3/4, then 0. At 0.0, 0.1, 0.2: 1; at 0.3 to 0.7: 3/4; at 0.8, 0.9, 1.0: 0.
    assert HITS.voc2007() == pytest.approx((3 + 5 * 3 / 4) / 11)
    assert HITS.voc2012() == pytest.approx((1 + 3 / 4 + 3 / 4) / 4)
