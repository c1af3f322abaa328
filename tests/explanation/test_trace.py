from __future__ import annotations

from typing import Any

import pytest
import torch

from drawn_pictures import differ
from explained_images import tiny_explained
from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.causes.false_positives import false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.causes.verdicts import verdicts_on
from faster_rcnn.explanation.record.lives import fates_of, life_of_detection
from faster_rcnn.explanation.trace import Trace, trace_image
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tiling
from files import CLASSES, loaded_model
from made_recordings import Way, made_recording
from tiny import random_image, truth_of

BOX = (10.0, 10.0, 40.0, 50.0)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(prepare(loaded_model(), torch.device("cpu"), torch.float32))


def test_a_trace_is_a_prediction_with_its_causes(predictor: Predictor) -> None:
    image, truth = random_image(70, 100), [("cat", BOX), ("dog", BOX)]
    trace = trace_image(predictor, image, truth, 0.3, 0.6)
    assert torch.equal(trace.detections.boxes, predictor.predict_one(image, 0.3).detections.boxes)
    assert trace.classes == CLASSES
    assert trace.thresholds == Thresholds(0.3, 0.6)
    assert trace.truth is not None
    assert trace.truth.labels.tolist() == [0, 1]
    assert trace.verdicts == verdicts_on(trace.recording, trace.truth, trace.thresholds)
    assert trace.false_positives == false_positives(trace.detections, trace.truth, trace.thresholds)
    assert len(trace.verdicts) == 2
    assert trace.verdicts is trace.verdicts  # computed once
    assert trace.life(0) == life_of_detection(trace.recording, fates_of(trace.recording), 0)


def test_without_truth_verdicts_are_refused_and_the_rest_is_there(predictor: Predictor) -> None:
    trace = trace_image(predictor, random_image(70, 100), None, 0.3, 0.5)
    for name in ("verdicts", "false_positives", "advices"):
        with pytest.raises(OptionError, match=r"^E125 .* not known for this image; give it: detector\.trace"):
            getattr(trace, name)
    assert trace.truth is None
    assert trace.life(0).score == float(trace.detections.scores[0])


def test_a_trace_has_advice_on_each_verdict(predictor: Predictor) -> None:
    trace = trace_image(predictor, random_image(70, 100), [("cat", BOX), ("dog", BOX)], 0.3, 0.5)
    assert [advice.verdict for advice in trace.advices] == list(trace.verdicts)
    assert all(advice.sentence for advice in trace.advices)
    assert trace.advices is trace.advices  # tried once
    [missed, _] = trace.verdicts
    assert trace.advice(missed).tried == trace.advices[0].tried
    assert len(trace.advice(missed, thorough=True).tried) >= len(trace.advices[0].tried)


def test_an_image_without_objects_has_no_verdict_and_false_positives_only(predictor: Predictor) -> None:
    trace = trace_image(predictor, random_image(70, 100), [], 0.3, 0.5)
    assert trace.verdicts == ()
    assert len(trace.false_positives) == len(trace.detections) > 0


def test_without_detections_there_are_verdicts() -> None:
    recording = made_recording([Way(BOX, scores=(0.1, 0.1, 0.1))])
    trace = Trace(recording, Thresholds(0.5, 0.5))
    assert len(trace.detections) == 0
    with pytest.raises(OptionError, match="not known for this image"):
        _ = trace.verdicts
    assert len(trace.fates) == 1


def test_tiles_give_a_trace_of_all_parts(predictor: Predictor) -> None:
    tiled = Predictor(predictor.detector, tiling=Tiling(60, 0.25))
    trace = trace_image(tiled, random_image(70, 100), truth_of([BOX]), 0.3, 0.5)
    assert len(trace.fates) == len(trace.recording.parts) == 5
    assert trace.detections.parts is not None
    assert trace.life(len(trace.detections) - 1).part == int(trace.detections.parts[-1])


def test_an_iou_threshold_that_is_no_share_is_refused(predictor: Predictor) -> None:
    with pytest.raises(OptionError, match=r"E125 iou_threshold 1\.5"):
        trace_image(predictor, random_image(20, 20), None, 0.5, 1.5)


PICTURES: dict[str, dict[str, Any]] = {
    "plot_image": {},
    "plot_features": {"level": 1},
    "plot_anchors": {"at": (30.0, 30.0), "level": 1},
    "plot_grid": {},
    "plot_assignment": {},
    "plot_sample": {"seed": 3},
    "plot_objectness": {},
    "plot_first_transform": {"proposal": 3},
    "plot_proposals": {"top": 3},
    "plot_pooling": {"proposal": 3},
    "plot_probabilities": {"proposal": 3},
    "plot_second_transform": {"detection": 3},
    "plot_detections": {},
}


@pytest.mark.parametrize("name", PICTURES)
def test_every_stage_has_a_picture_and_its_choices_change_it(name: str) -> None:
    trace = tiny_explained(truth_of([BOX, (60.0, 10.0, 100.0, 80.0)], [0, 1]))
    picture = getattr(trace, name)()
    assert picture.width == 1000
    if PICTURES[name]:
        assert differ(picture, getattr(trace, name)(**PICTURES[name]))


def test_pictures_of_a_chosen_tile() -> None:
    trace = tiny_explained(size=(100, 200), tiling=Tiling(100, 0.2))
    own = 0 if trace.detections.parts is None else int(trace.detections.parts[0])
    for name in ("plot_image", "plot_objectness", "plot_proposals"):
        pictures = [getattr(trace, name)(part=part) for part in range(4)]
        assert not differ(pictures[own], getattr(trace, name)())
        assert all(differ(pictures[0], other) for other in pictures[1:])
    with pytest.raises(OptionError, match="part 4: the image has 4"):
        trace.plot_grid(part=4)
