from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faster_rcnn.explanation.causes.false_positives import TIDE_NAMES, FalseKind, false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds, VerdictKind
from faster_rcnn.explanation.dataset.impact import impact_of, tide_of
from made_surveys import CLASSES, detections_of, judged_image, record_of

BOX, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


def test_each_kind_is_mended_by_itself() -> None:
    """Two cats: one is found, one is missed; and a false positive on background ranks first."""
    image = judged_image(record_of([BOX, FAR], [0, 0]), [([80, 0, 90, 10], 0.9, 0), (BOX, 0.8, 0)])
    impact = impact_of([image], CLASSES)
    # 51 of 101 recall levels are reached, 0.00 to 0.50, with precision 1/2; without the false positive 1.
    assert impact.ap == pytest.approx(51 / 101 / 2)
    gone = impact.false_positives[FalseKind.BACKGROUND]
    assert gone.count == 1
    assert gone.ap == pytest.approx(51 / 101)
    # Both are found, the first by rank is right, then a false one, then the other: precision 1, then 2/3.
    found = impact.verdicts[VerdictKind.BACKGROUND]
    assert found.count == 1
    assert found.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert impact.gain(found) == pytest.approx((51 + 50 * 2 / 3) / 101 - 51 / 202)
    assert impact.oracles["all"].ap == pytest.approx(1.0)
    assert set(impact.verdicts) == {VerdictKind.BACKGROUND}


def test_nothing_to_find_has_no_ap() -> None:
    impact = impact_of([judged_image(record_of([], []), [(BOX, 0.9, 0)])], CLASSES)
    assert (impact.ap, impact.oracles["all"].ap) == (None, None)
    assert impact.gain(impact.oracles["all"]) is None
    assert impact.to_json()["false_positives"] == {"background": {"count": 1, "AP": None, "AP50": None}}


def test_no_image_at_all() -> None:
    assert impact_of([], CLASSES).ap is None
    tide = tide_of([], CLASSES, Thresholds(0.5))
    assert tide is not None
    assert set(tide.counts.values()) == {0}


corner, side, label = st.integers(0, 12), st.integers(3, 10), st.integers(0, 1)
rows = st.tuples(corner, corner, side, side, label).map(lambda r: ([r[0], r[1], r[0] + r[2], r[1] + r[3]], r[4]))


@settings(max_examples=60)
@given(st.lists(rows, min_size=1, max_size=6), st.lists(rows, max_size=10), st.sampled_from([0.5, 0.75]))
def test_our_kinds_have_the_counts_of_tide(
    wanted: list[tuple[list[int], int]], given_rows: list[tuple[list[int], int]], iou: float
) -> None:
    record = record_of([box for box, _ in wanted], [label for _, label in wanted])
    found = detections_of(*((box, 0.99 - 0.04 * rank, label) for rank, (box, label) in enumerate(given_rows)))
    image = judged_image(record, [(box, 0.99 - 0.04 * rank, label) for rank, (box, label) in enumerate(given_rows)])
    tide = tide_of([image], CLASSES, Thresholds(0.5, iou))
    assert tide is not None
    counts = dict.fromkeys(("Cls", "Loc", "Both", "Dupe", "Bkg"), 0)
    for each in false_positives(found, record.truth, Thresholds(0.5, iou)):
        counts[TIDE_NAMES[each.kind]] += 1
    assert {name: tide.counts[name] for name in counts} == counts


@pytest.mark.parametrize(("box", "label"), [([0, 0, 10, 1], 0), ([0, 0, 10, 1], 1), ([0, 0, 10, 5], 1)])
def test_thresholds_of_tide_are_ours(box: list[int], label: int) -> None:
    """IoUs of exactly 0.1 and 0.5."""
    image = judged_image(record_of([BOX], [0]), [(box, 0.9, label)])
    tide = tide_of([image], CLASSES, Thresholds(0.5))
    assert tide is not None
    assert tide.counts[image.false_positives[0].tide] == 1
