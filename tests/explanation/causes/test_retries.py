"""Retries from the record: each gives the detections that an ordinary prediction with the same words gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.causes.retries import TILE, Change, Retries, changed, with_settings_of
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.choice import Choice
from faster_rcnn.inference.loading import loaded_with
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.structures import Detections, ImageSize, Proposals
from faster_rcnn.weights.model_file import LoadedModel
from files import loaded_model
from made_recordings import Way, made_recording
from made_surveys import tiny_detector
from tiny import boxes_of, random_image

IMAGE = random_image(90, 120)
CHANGES = [
    Change("rpn.proposals_before_nms", 5),
    Change("rpn.proposals_after_nms", 12),
    Change("rpn.nms_iou", 0.3),
    Change("rpn.min_side", 9.5),
    Change("rpn.score_floor", 0.522),
    Change("roi.score_floor", 0.38),
    Change("roi.min_side", 8),
    Change("roi.nms_iou", 0.1),
    Change("roi.max_detections", 4),
    Change("image.short_side", 96, ("image.long_side=192",)),
]


def prepared(loaded: LoadedModel) -> PreparedDetector:
    return prepare(loaded, torch.device("cpu"), torch.float32)


def assert_same(found: Detections, expected: Detections) -> None:
    for name in ("boxes", "scores", "labels", "proposals"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert (found.parts is None) == (expected.parts is None)


@pytest.mark.parametrize("tiling", [None, Tiling(80, 0.25)])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.setting)
def test_a_changed_setting_reports_what_a_detector_with_it_predicts(change: Change, tiling: Tiling | None) -> None:
    """The other detector is loaded with the setting, and computes everything anew."""
    loaded = loaded_model()
    before = Predictor(prepared(loaded), tiling=tiling).predict_one(IMAGE, 0.3).detections
    retries = Retries(record(Predictor(prepared(loaded), tiling=tiling), IMAGE, 0.3))
    other = Predictor(prepared(loaded_with(loaded_model(), change.settings)), tiling=tiling)
    expected = other.predict_one(IMAGE, 0.3).detections
    assert_same(retries.reported(change), expected)
    assert len(before) != len(expected) or not torch.equal(before.boxes, expected.boxes)


@pytest.mark.parametrize("tiling", [None, Tiling(80, 0.25)])
@pytest.mark.parametrize("conf", [0.1, 0.6])
def test_another_confidence_reports_what_is_predicted_with_it(conf: float, tiling: Tiling | None) -> None:
    """With tiles it decides which detections take part in merging."""
    predictor = Predictor(prepared(loaded_model()), tiling=tiling)
    expected = predictor.predict_one(IMAGE, conf).detections
    assert_same(Retries(record(predictor, IMAGE, 0.3)).reported(Change("conf", conf)), expected)


@pytest.mark.parametrize("tiling", [None, Tiling(80, 0.4)])
def test_other_tiles_report_what_is_predicted_in_them(tiling: Tiling | None) -> None:
    """Their overlap is that of the recorded tiles, or a fifth."""
    detector = prepared(loaded_model())
    overlap = 0.2 if tiling is None else 0.4
    expected = Predictor(detector, tiling=Tiling(50, overlap)).predict_one(IMAGE, 0.3).detections
    found = Retries(record(Predictor(detector, tiling=tiling), IMAGE, 0.3)).reported(Change("tile", 50))
    assert_same(found, expected)
    assert found.parts is not None


def test_the_choice_of_detections_stays_and_a_threshold_of_nms_replaces_its_own() -> None:
    detector = prepared(loaded_model())
    choice = Choice(classes=("dog", "cow"), iou=0.9, across_classes=True)
    retries = Retries(record(Predictor(detector, choice=choice), IMAGE, 0.0))
    expected = Predictor(detector, choice=replace(choice, iou=0.2)).predict_one(IMAGE, 0.0).detections
    assert_same(retries.reported(Change("roi.nms_iou", 0.2)), expected)
    other = Predictor(prepared(loaded_with(loaded_model(), ["roi.score_floor=0.3"])), choice=choice)
    assert_same(retries.reported(Change("roi.score_floor", 0.3)), other.predict_one(IMAGE, 0.0).detections)


def test_a_change_is_computed_once() -> None:
    retries = Retries(record(Predictor(prepared(loaded_model())), IMAGE))
    found = retries.reported(Change("rpn.proposals_after_nms", 12))
    assert retries.reported(Change("rpn.proposals_after_nms", 12)) is found
    assert retries.reported(Change("rpn.proposals_after_nms", 13)) is not found


def test_external_proposals_stay_and_are_found_again_for_another_image_size() -> None:
    def proposals(image: object, pixels: torch.Tensor) -> Proposals:
        assert image is IMAGE
        return Proposals(boxes_of([(10, 10, 60, 60), (30, 20, 100, 80)]), torch.ones(2))

    predictor = Predictor(prepared(loaded_model()), proposals=proposals)
    retries = Retries(record(predictor, IMAGE, 0.0))
    larger = Change("image.short_side", 96, ("image.long_side=192",))
    other = Predictor(prepared(loaded_with(loaded_model(), larger.settings)), proposals=proposals)
    assert_same(retries.reported(larger), other.predict_one(IMAGE, 0.0).detections)
    few = retries.reported(Change("roi.max_detections", 1))
    assert_same(few, predictor.predict_one(IMAGE, 0.0).detections[:1])
    with pytest.raises(OptionError, match="external proposals"):
        retries.reported(Change("tile", 50))


def test_a_region_proposal_network_reports_its_proposals() -> None:
    recording = made_recording([Way((20, 20, 40, 40)), Way((60, 20, 80, 40), objectness=0.3)], kind="rpn")
    retries = Retries(recording)
    assert retries.reported(Change("conf", 0.2)).scores.tolist() == pytest.approx([0.9, 0.3])
    assert retries.reported(Change("rpn.proposals_after_nms", 1)).scores.tolist() == pytest.approx([0.9])


def test_the_recorded_predictor_keeps_its_own_settings() -> None:
    predictor = Predictor(prepared(loaded_model()), tiling=Tiling(80, 0.4))
    other = with_settings_of(predictor, ("rpn.nms_iou=0.3",))
    assert (other.config.rpn.nms_iou, other.detector.network.inference_filter.nms_iou) == (0.3, 0.3)
    assert (predictor.config.rpn.nms_iou, predictor.detector.network.inference_filter.nms_iou) == (0.7, 0.7)
    assert (other.tiling, other.choice) == (predictor.tiling, predictor.choice)


@pytest.mark.parametrize(
    ("change", "words", "settings"),
    [
        (Change("conf", 0.31), "--conf 0.31", ()),
        (Change("conf", 0.00012), "--conf 0.00012", ()),
        (Change("tile", 400.0), "--tile 400", ()),
        (Change("roi.nms_iou", 0.6), "--iou 0.6", ("roi.nms_iou=0.6",)),
        (Change("rpn.nms_iou", 1.0), "--set rpn.nms_iou=1", ("rpn.nms_iou=1",)),
        (
            Change("rpn.proposals_after_nms", 1234500.0),
            "--set rpn.proposals_after_nms=1234500",
            ("rpn.proposals_after_nms=1234500",),
        ),
        (
            Change("image.short_side", 624, ("image.long_side=960",)),
            "--set image.short_side=624 image.long_side=960",
            ("image.short_side=624", "image.long_side=960"),
        ),
    ],
)
def test_a_change_in_words(change: Change, words: str, settings: tuple[str, ...]) -> None:
    assert (change.words, change.settings) == (words, settings)


def test_a_made_image_without_detections_reports_none() -> None:
    retries = Retries(made_recording([]))
    assert retries.recording.size == ImageSize(80, 100)
    assert len(retries.reported(Change("roi.nms_iou", 0.9))) == 0
    assert len(retries.reported(Change("conf", 0.0))) == 0


def test_tiles_are_a_change_of_the_predictor() -> None:
    tiled = changed(Predictor(tiny_detector()), Change(TILE, 45))
    assert tiled.tiling is not None
    assert (tiled.tiling.side, tiled.tiling.overlap) == (45, 0.2)
    assert changed(Predictor(tiny_detector()), Change("roi.nms_iou", 0.9)).config.roi.nms_iou == 0.9
