from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faster_rcnn.evaluation.run import evaluate_detector
from faster_rcnn.explanation.causes.kinds import Thresholds, VerdictKind
from faster_rcnn.explanation.causes.retries import CONF, TILE, Change
from faster_rcnn.explanation.dataset import advice as module
from faster_rcnn.explanation.dataset.advice import advise, sufficient
from faster_rcnn.explanation.survey import Survey, survey_data
from faster_rcnn.inference.predictor import Predictor
from files import coco_folder
from made_surveys import judged_truth, tiny_detector

THRESHOLDS = Thresholds(0.45)


def test_the_value_of_a_setting_is_enough_for_three_quarters() -> None:
    scores = [Change(CONF, value) for value in (0.1, 0.4, 0.3, 0.2)]
    assert sufficient(scores).value == 0.2  # of 0.4, 0.3, 0.2, 0.1
    ious = [Change("roi.nms_iou", value) for value in (0.9, 0.6, 0.7, 0.8)]
    assert sufficient(ious).value == 0.8
    assert sufficient([Change(TILE, 400)]).value == 400
    assert sufficient([Change(TILE, value) for value in (200, 400)]).value == 200  # the smaller tile shows more


def near_detections(folder: Path) -> Path:
    """Truths near detections of the tiny detector, so that they are found with a lower threshold of scores."""
    data = coco_folder(folder, [[], []])
    predictor = Predictor(tiny_detector())
    rows: list[list[tuple[float, ...]]] = []
    for number in (1, 2):
        found = predictor.predict_one(data / "images" / f"{number}.png", conf=0.0)
        chosen = torch.nonzero(found.scores < 0.42)[:6:2, 0].tolist()
        corners = [(int(found.labels[index]), *found.boxes[index].round().tolist()) for index in chosen]
        rows.append([(label, x1, y1, x2 - x1, y2 - y1) for label, x1, y1, x2, y2 in corners])
    return coco_folder(folder, rows)


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Survey, Path]:
    data = near_detections(tmp_path_factory.mktemp("data"))
    return survey_data(tiny_detector(), data, None, THRESHOLDS, advice=1), data


def test_remedies_are_counted_and_followed(surveyed: tuple[Survey, Path]) -> None:
    survey, _ = surveyed
    advice = survey.advice
    assert advice is not None
    assert advice.tried == advice.missed == survey.funnel.total.truths - survey.funnel.total.found > 0
    assert sum(advice.remedies.values()) + advice.without == advice.tried
    assert CONF in advice.remedies
    first = advice.followed[0]
    assert first.change.setting == CONF
    assert first.found > survey.funnel.total.found
    assert (first.ap, first.ap50) == (survey.impact.ap, survey.impact.ap50)
    assert advice.to_json()["followed"][0]["options"] == first.change.words


def test_what_is_measured_is_what_evaluate_measures(surveyed: tuple[Survey, Path]) -> None:
    survey, data = surveyed
    change = Change("roi.nms_iou", 0.9)
    images, split = survey.images, survey.judged
    followed = module._followed(Predictor(tiny_detector()), split, images, THRESHOLDS, change, 3)
    metrics = evaluate_detector(tiny_detector(roi={"nms_iou": 0.9}), data, None, "m").metrics
    assert (followed.ap, followed.ap50, followed.remedies) == (metrics.ap, metrics.ap50, 3)
    again = survey_data(tiny_detector(roi={"nms_iou": 0.9}), data, None, THRESHOLDS)
    assert followed.found == again.funnel.total.found
    assert followed.false_positives == sum(len(each.false_positives) for each in again.images)


def test_a_bounded_number_of_truths_is_tried(surveyed: tuple[Survey, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    survey, _ = surveyed
    monkeypatch.setattr(module, "MAX_TRIED", 1)
    monkeypatch.setattr(module, "MAX_WITH_PASSES", 0)
    advice = advise(Predictor(tiny_detector()), survey.judged, survey.images, THRESHOLDS, 0)
    assert advice.tried == 1 < advice.missed
    assert advice.followed == ()


def test_anchors_are_advised_where_many_truths_have_none(surveyed: tuple[Survey, Path]) -> None:
    survey, _ = surveyed
    predictor = Predictor(tiny_detector(rpn={"anchor_sizes": ((60.0,), (70.0,), (80.0,), (90.0,), (99.0,))}))
    assert module._anchors(predictor, survey.split, survey.images) is None
    unreached = [replace(each, truths=(judged_truth(VerdictKind.NO_ANCHOR),)) for each in survey.images]
    fit = module._anchors(predictor, survey.split, unreached)
    assert fit is not None
    assert "rpn.anchor_sizes" in fit.words


def test_nothing_missed_needs_no_advice(tmp_path: Path) -> None:
    found = survey_data(tiny_detector(), coco_folder(tmp_path, [[], []]), None, THRESHOLDS, advice=2)
    assert found.advice is not None
    assert (found.advice.missed, found.advice.remedies, found.advice.followed) == (0, {}, ())
    assert "advice" not in found.table()
