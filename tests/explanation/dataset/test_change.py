from __future__ import annotations

import pytest

from faster_rcnn.evaluation import engine
from faster_rcnn.explanation.dataset.change import change_on
from faster_rcnn.explanation.dataset.pairs import CommonImages, JudgedBy, common_to
from faster_rcnn.structures import ClassMap
from made_surveys import judged_image, record_of

CLASSES = ClassMap(("cat",), (1,))
BOX = (0.0, 0.0, 20.0, 20.0)


def common(found_before: int, found_after: int, images: int = 12) -> CommonImages:
    """Images with one truth each, of which the first ones are found by each detector, all with the same score."""
    sides = []
    for count in (found_before, found_after):
        rows = [[(BOX, 0.9, 0)] if place < count else [] for place in range(images)]
        records = [record_of([BOX], [0], image_id=place) for place in range(images)]
        sides.append(JudgedBy([judged_image(*each) for each in zip(records, rows, strict=True)], CLASSES))
    return common_to(*sides)


def test_ap_of_perfect_boxes_is_the_share_of_the_levels_of_recall_that_is_reached() -> None:
    """Half of the truths found perfectly: precision is 1 at the 51 levels of recall up to 0.5, of 101."""
    changes = change_on(common(6, 12))
    for each in changes.values():
        assert each.before == pytest.approx(51 / 101)
        assert each.after == 1
        assert each.change == pytest.approx(50 / 101)
        assert each.is_significant
        assert each.interval is not None
        assert 0 < each.interval.lower < 50 / 101 < each.interval.upper < 1
    assert list(changes) == ["AP", "AP50", "AP75"]


def test_a_change_on_one_image_may_be_chance_and_none_is_none() -> None:
    """In a third of the samples the one image that changed is not drawn: (11/12)^12 = 0.35."""
    one = change_on(common(6, 7))["AP50"]
    assert not one.is_significant
    assert one.interval is not None
    assert one.interval.lower < 0 < one.interval.upper
    assert one.interval.share_above_0 == pytest.approx(1 - (11 / 12) ** 12, abs=0.05)
    nothing = change_on(common(6, 6))["AP50"]
    assert (nothing.change, nothing.is_significant) == (0, False)


def test_the_same_numbers_come_every_time() -> None:
    assert change_on(common(4, 9)) == change_on(common(4, 9))


def test_without_a_truth_nothing_is_defined() -> None:
    for each in change_on(common(0, 0, images=0)).values():
        assert (each.before, each.after, each.change, each.is_significant) == (None, None, None, None)


def test_without_hotcoco_there_is_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = change_on(common(3, 6, images=8))["AP"]
    monkeypatch.setattr(engine, "hotcoco", None)
    found = change_on(common(3, 6, images=8))["AP"]
    assert (found.before, found.after, found.interval) == (expected.before, expected.after, None)
