"""Advice: the nearest change that finds a missed object, what appears beside it, and that an ordinary run agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from faster_rcnn import Detector
from faster_rcnn.data.anchor_fitting import AnchorFit, Reach
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.causes.advice import Advice, Trial, advice_on, trial_of
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.causes.retries import Change, Retries
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.structures import GroundTruth
from files import CLASSES, loaded_model
from made_recordings import Box, Way, made_recording
from tiny import random_image, truth_of

TRUTH: Box = (20.0, 20.0, 40.0, 40.0)
NEAR: Box = (20.0, 20.0, 40.0, 36.0)
FAR: Box = (60.0, 50.0, 80.0, 70.0)
THRESHOLDS = Thresholds(0.5, 0.5)
FIT = AnchorFit(7, ((8.0,),), (1.0,), Reach(0.1, 0, 0), Reach(0.9, 1, 1))


def advised(recording: Recording, boxes: Sequence[Box] = (TRUTH,), index: int = 0, **options: Any) -> Advice:
    explained = Explained(replace(recording, truth=truth_of(boxes)), THRESHOLDS)
    return advice_on(explained, explained.verdicts[index], Retries(explained.recording), **options)


def assert_trial(trial: Trial, change: Change, score: float, further: int = 0, false: int = 0, lost: int = 0) -> None:
    """The trial found the truth with this score."""
    assert trial.score == pytest.approx(score)
    assert trial == Trial(change, True, trial.score, further, false, lost)


def test_nothing_is_tried_for_a_truth_that_is_found() -> None:
    advice = advised(made_recording([Way(TRUTH)]))
    assert (advice.tried, advice.remedy, advice.words) == ((), None, "")
    assert advice.sentence == "The object is found, so there is nothing to advise."


def test_a_lower_confidence_finds_an_object_and_what_lies_above_it() -> None:
    """Beside the object two boxes of its class appear, one on another truth."""
    ways = [Way(TRUTH, scores=(0.31, 0.1, 0.1)), Way(FAR, scores=(0.4, 0.1, 0.1))]
    ways += [Way((0, 0, 10, 10), scores=(0.35, 0.1, 0.1)), Way((80, 0, 90, 10))]
    advice = advised(made_recording(ways), [TRUTH, FAR])
    assert advice.verdict.kind == VerdictKind.BACKGROUND
    assert advice.remedy is not None
    assert_trial(advice.remedy, Change("conf", 0.3), 0.31, further=2, false=1)
    assert advice.tried == (advice.remedy,)
    assert (advice.remedy.setting, advice.remedy.value, advice.words) == ("conf", 0.3, "--conf 0.3")
    assert advice.sentence == (
        "With --conf 0.3 it is found, with a score of 0.31; 2 further detections appear, 1 of them false."
    )


@pytest.mark.parametrize(
    ("ways", "boxes", "beside"),
    [
        ([], [TRUTH], "no further detection appears."),
        ([FAR], [TRUTH], "1 further detection appears, which is false."),
        ([FAR], [TRUTH, FAR], "1 further detection appears."),
        ([FAR, (0, 0, 10, 10)], [TRUTH], "2 further detections appear, all of them false."),
    ],
)
def test_what_appears_beside_it_is_counted(ways: Sequence[Box], boxes: Sequence[Box], beside: str) -> None:
    unsure = [Way(box, scores=(0.4, 0.1, 0.1)) for box in ways]
    advice = advised(made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1)), *unsure]), boxes)
    assert advice.sentence == f"With --conf 0.3 it is found, with a score of 0.31; {beside}"


def test_a_detection_on_an_ignored_truth_is_not_false() -> None:
    ways = [Way(TRUTH, scores=(0.31, 0.1, 0.1)), Way(FAR, scores=(0.4, 0.1, 0.1))]
    retries = Retries(made_recording(ways))
    trial = trial_of(Change("conf", 0.3), retries, truth_of([TRUTH, FAR], ignored=[False, True]), 0, THRESHOLDS)
    assert (trial.found, trial.further, trial.false) == (True, 1, 0)


def test_a_truth_that_is_no_longer_found_is_counted() -> None:
    """The limit leaves the best detection alone, and so loses one of the two."""
    retries = Retries(made_recording([Way(TRUTH), Way(FAR, scores=(0.8, 0.1, 0.05))]))
    trial = trial_of(Change("roi.max_detections", 1), retries, truth_of([TRUTH, FAR]), 0, THRESHOLDS)
    assert_trial(trial, Change("roi.max_detections", 1), 0.9, lost=1)
    lossy = Advice(Verdict(0, 0, VerdictKind.BACKGROUND, None), (trial,), trial)
    assert lossy.sentence.endswith("no further detection appears, and 1 object that was found before is lost.")


def test_the_setting_of_the_verdict_is_tried_first_and_the_smallest_value_that_suffices_is_given() -> None:
    """The neighbour of an IoU of 0.8 suppresses the detection; thresholds of 0.6 and 0.7 do not change that."""
    both = [Way(TRUTH, scores=(0.8, 0.1, 0.05)), Way(NEAR, scores=(0.9, 0.05, 0.03))]
    advice = advised(made_recording(both, rpn={"nms_iou": 0.9}), [NEAR, TRUTH], index=1)
    assert (advice.verdict.kind, advice.verdict.setting) == (VerdictKind.SUPPRESSED_DETECTION, "roi.nms_iou")
    assert advice.remedy is not None
    assert_trial(advice.remedy, Change("roi.nms_iou", 0.81), 0.8)
    assert advice.words == "--iou 0.81"


def test_that_no_setting_finds_it_is_an_answer_with_what_was_tried() -> None:
    """The region is background, and its score is below the floor, too: one setting cannot change both."""
    recording = made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1))], roi={"score_floor": 0.4})
    advice = advised(recording, passes=False)
    assert (advice.tried, advice.remedy, advice.words) == ((), None, "")
    assert advice.sentence == "No single setting of inference can find it."
    advice = advised(recording)  # noise in other sizes finds nothing either
    assert [trial.change.words for trial in advice.tried] == [
        "--set image.short_side=128 image.long_side=256",
        "--tile 40",
    ]
    assert (advice.remedy, [trial.found for trial in advice.tried]) == (None, [False, False])
    assert advice.sentence == (
        "No single setting of inference finds it; tried: --set image.short_side=128 image.long_side=256; --tile 40."
    )


def test_every_setting_is_tried_where_that_is_asked_for() -> None:
    advice = advised(made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1))]), thorough=True)
    assert [trial.setting for trial in advice.tried] == ["conf", "image.short_side", "tile"]
    assert advice.remedy == advice.tried[0]


def test_anchors_for_an_object_that_none_reaches_need_training() -> None:
    tiny: Box = (20.0, 20.0, 23.0, 23.0)
    recording = made_recording([Way((10, 10, 60, 60))])
    advice = advised(recording, [tiny], passes=False)
    assert advice.verdict.kind == VerdictKind.NO_ANCHOR
    assert advice.anchors is not None
    # The image of 80 x 100 pixels is 64 high after resizing: the object has 2.4 pixels, the finest stride is 4.
    assert advice.anchors.sizes[0] == (4.0,)
    assert advice.words == advice.anchors.words
    assert advice.sentence == (
        "No single setting of inference can find it. Nearer anchors need training: faster-rcnn train DATA "
        f"{advice.anchors.words}, fitted to 1 object."
    )
    of_data = advised(recording, [tiny], anchors=FIT, passes=False)
    assert of_data.anchors is FIT
    assert of_data.sentence.endswith("'rpn.anchor_heights_over_widths=[1]', fitted to 7 objects.")
    worse = replace(FIT, after=FIT.before)
    assert advised(recording, [tiny], anchors=worse, passes=False).anchors is None
    assert advised(made_recording([Way(TRUTH, scores=(0.31, 0.1, 0.1))]), anchors=FIT).anchors is None


@pytest.mark.parametrize(("iou", "conf"), [(0.8, 0.5), (0.5, 0.9)])
def test_a_detection_at_the_edge_of_a_threshold_does_not_count_as_found(iou: float, conf: float) -> None:
    """Its IoU is 0.8 and its score 0.9, and the last bits of another run may be lower."""
    retries = Retries(made_recording([Way(NEAR)], conf=0.89))
    change, truth = Change("roi.max_detections", 50), truth_of([TRUTH])
    assert trial_of(change, retries, truth, 0, Thresholds(0.5, 0.5)).found
    trial = trial_of(change, retries, truth, 0, Thresholds(conf, iou - 1e-4))
    assert not trial.found
    assert trial.score == pytest.approx(0.9)


def test_without_truth_there_is_no_advice() -> None:
    explained = Explained(made_recording([Way(TRUTH)]), THRESHOLDS)
    with pytest.raises(OptionError, match="E125"):
        advice_on(explained, Verdict(0, 0, VerdictKind.BACKGROUND, None), Retries(explained.recording))


LIMITS: list[dict[str, dict[str, Any]]] = [
    {},
    {"rpn": {"proposals_after_nms": 12}},
    {"rpn": {"proposals_before_nms": 3}},
    {"rpn": {"nms_iou": 0.01, "proposals_after_nms": 300}},
    {"rpn": {"min_side": 11.0}},
    {"roi": {"max_detections": 5}},
    {"roi": {"nms_iou": 0.1}},
    {"roi": {"min_side": 12.0}},
    {"roi": {"score_floor": 0.4}},
]
"""Settings of tiny detectors, each of which loses most truths at another step."""


def followed(sections: dict[str, dict[str, Any]], truths: int = 6, tile: int | None = None) -> list[Advice]:
    """The advice on the truths of an image, each of whose remedies finds its object in an ordinary prediction.

    The truths are the detections of a detector with other settings, so that there is something to find.
    """
    image = random_image(90, 120)
    generous = Detector(loaded_model(), "cpu", "float32", settings=["roi.nms_iou=0.8", "rpn.nms_iou=0.8"])
    found = generous.predict(image, 0.3, tile=80)
    some = found.detections[torch.arange(0, len(found), len(found) // truths)]
    truth = GroundTruth(some.boxes, some.labels, torch.zeros(len(some), dtype=torch.bool))
    loaded = loaded_model(CLASSES, **sections)
    trace = Detector(loaded, "cpu", "float32").trace(image, truth, 0.36, tile)
    for advice in trace.advices:
        if advice.remedy is None:
            continue
        change = advice.remedy.change
        conf = change.value if change.setting == "conf" else 0.36
        side = int(change.value) if change.setting == "tile" else tile
        other = Detector(loaded, "cpu", "float32", settings=change.settings)
        again = other.predict(image, conf, tile=side)
        partners = match_detections(again.detections, truth, 0.5).detections
        assert int(partners[advice.verdict.truth]) != UNMATCHED, advice
    return list(trace.advices)


@pytest.mark.parametrize("sections", LIMITS, ids=str)
def test_following_the_advice_finds_the_object_in_an_ordinary_prediction(sections: dict[str, dict[str, Any]]) -> None:
    advices = followed(sections)
    missed = [advice for advice in advices if advice.verdict.missed]
    settings = {advice.remedy.setting for advice in missed if advice.remedy is not None}
    assert settings
    own = {f"{stage}.{key}" for stage, keys in sections.items() for key in keys}
    assert not own or own & settings


def test_following_the_advice_finds_the_object_in_tiles_too() -> None:
    settings = [advice.remedy.setting for advice in followed(LIMITS[5], truths=2, tile=80) if advice.remedy is not None]
    assert "roi.max_detections" in settings
