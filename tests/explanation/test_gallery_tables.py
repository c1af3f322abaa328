from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from faster_rcnn.explanation.causes.false_positives import FalseKind
from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.causes.retries import Change
from faster_rcnn.explanation.dataset.advice import DataAdvice, Followed
from faster_rcnn.explanation.gallery_tables import (
    MISTAKES,
    ORACLES,
    STAGES,
    advice_rows,
    false_rows,
    funnel_rows,
    group_tables,
    oracle_rows,
)
from faster_rcnn.explanation.survey import Survey
from made_surveys import tiny_survey


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("data") / "data")


def test_the_funnel_adds_up_and_names_what_each_step_costs(survey: Survey) -> None:
    rows, total = funnel_rows(survey), len(survey.truths)
    left = total
    for row in rows:
        left -= row.lost
        assert row.left == left
        assert row.share == pytest.approx(left / total)
        effect = survey.impact.verdicts[VerdictKind(row.kind)]
        assert row.ap == effect.ap
        assert row.gain == pytest.approx((effect.ap or 0) - (survey.impact.ap or 0))
    assert left == sum(not each.verdict.missed for each in survey.truths)
    assert {row.kind: row.lost for row in rows} == Counter(
        str(each.verdict.kind) for each in survey.truths if each.verdict.missed
    )


def test_false_positives_are_counted_by_kind_with_tides_number(survey: Survey) -> None:
    rows = false_rows(survey)
    expected = Counter(str(one.kind) for image in survey.images for one in image.false_positives)
    assert {row.kind: row.count for row in rows} == expected
    assert survey.tide is not None
    for row in rows:
        assert row.tide_gain == survey.tide.delta_ap[row.tide]


def test_oracles_and_groups_are_those_of_the_survey(survey: Survey) -> None:
    assert [row.ap for row in oracle_rows(survey)] == [each.ap for each in survey.impact.oracles.values()]
    tables = dict(group_tables(survey))
    assert list(tables) == ["class", "size", "aspect", "crowding", "border", "brightness"]
    for rows in tables.values():
        assert sum(row.truths for row in rows) == len(survey.truths)
        assert sum(row.found for row in rows) == survey.funnel.total.found


def test_advice_is_what_was_measured_with_the_gain_over_the_plain_ap(survey: Survey) -> None:
    change = Change("roi.nms_iou", 0.7)
    advice = DataAdvice(9, 5, {"roi.nms_iou": 4}, (Followed(change, 4, 0.75, 0.9, 7, 12),))
    assert advice_rows(survey) == []
    [row] = advice_rows(replace(survey, advice=advice))
    assert (row.options, row.remedies, row.ap, row.found, row.false_positives) == (change.words, 4, 0.75, 7, 12)
    assert row.gain == pytest.approx(0.75 - (survey.impact.ap or 0))
    assert advice_rows(replace(survey, advice=replace(advice, followed=()))) == []


def test_every_kind_and_oracle_has_words() -> None:
    assert set(STAGES) == set(VerdictKind) - {VerdictKind.FOUND}
    assert set(MISTAKES) == set(FalseKind)
    assert list(ORACLES) == ["proposals", "classes", "boxes", "all"]


def test_a_survey_without_images_has_no_rows(survey: Survey) -> None:
    empty = replace(survey, images=())
    assert not funnel_rows(empty)
    assert not false_rows(empty)
    assert not group_tables(empty)
