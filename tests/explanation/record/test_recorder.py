"""A recorded pass is the detector's own: its detections and all values in between are those of an ordinary pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from faster_rcnn import stages
from faster_rcnn.acceleration.compilation import ShapeCompiler
from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.explanation.record.recorder import RecordingDetector, record
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.inference.tiles import Tile, Tiling
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.settings.schema import DetectorConfig
from faster_rcnn.structures import ClassMap, Detections, Proposals
from faster_rcnn.weights.model_file import LoadedModel
from files import CLASSES, loaded_model, quantized
from tiny import boxes_of, random_image, tiny_config, tiny_model, truth_of

CPU = torch.device("cpu")
TILING = Tiling(60, 0.25)


def exact() -> PreparedDetector:
    return prepare(loaded_model(), CPU, torch.float32)


def fast() -> PreparedDetector:
    return prepare(loaded_model(), CPU, torch.float32, exact=False)


def half() -> PreparedDetector:
    return prepare(loaded_model(), CPU, torch.bfloat16)


def int8() -> PreparedDetector:
    if weight_limit() == 0:
        pytest.skip("oneDNN has no int8 convolutions here")
    return prepare(quantized(loaded_model()), CPU, torch.int8)


def first_stage_alone() -> PreparedDetector:
    config = tiny_config().model_copy(update={"detector": DetectorConfig(kind="rpn")})
    return prepare(LoadedModel(tiny_model(1), config, ClassMap(("object",), (1,))), CPU, torch.float32)


def one_level() -> PreparedDetector:
    """Without a pyramid, both stages read the map of the body itself."""
    backbone, rpn = {"neck": "none", "levels": (3,)}, {"anchor_sizes": ((8.0, 16.0, 32.0),)}
    return prepare(loaded_model(backbone=backbone, rpn=rpn), CPU, torch.float32)


def assert_same(found: Detections, expected: Detections) -> None:
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.labels, expected.labels)
    assert found.proposals is not None
    assert expected.proposals is not None
    assert torch.equal(found.proposals, expected.proposals)


@pytest.mark.parametrize("tiling", [None, TILING], ids=["whole", "tiles"])
@pytest.mark.parametrize("made", [exact, fast, half, int8, first_stage_alone, one_level])
def test_the_detections_are_bit_for_bit_those_of_a_prediction(
    made: Callable[[], PreparedDetector], tiling: Tiling | None
) -> None:
    image = random_image(70, 100)
    predictor = Predictor(made(), tiling=tiling)
    recording = record(predictor, image, conf=0.2)
    for conf in (0.2, 0.3) if tiling is None else (0.2,):
        assert_same(replace(recording, conf=conf).reported, predictor.predict_one(image, conf).detections)
    assert len(recording.detections) > 1
    assert len(recording.parts) == (1 if tiling is None else 1 + 2 * 2)


def test_the_detections_of_external_proposals_are_those_of_a_prediction() -> None:
    external = Proposals(boxes_of([(5, 5, 40, 30), (20, 10, 60, 50), (0, 0, 99, 69)]), torch.tensor([0.9, 0.8, 0.7]))
    predictor = Predictor(exact(), proposals=lambda image, pixels: external)
    recording = record(predictor, random_image(70, 100), conf=0.0)
    assert_same(recording.detections, predictor.predict_one(random_image(70, 100), 0.0).detections)
    assert recording.whole.first is None
    assert recording.whole.proposals.anchors is None
    torch.testing.assert_close(recording.whole.in_image(recording.whole.proposals.boxes), external.boxes)


def test_batches_of_tiles_are_recorded_as_they_are_detected() -> None:
    """On a GPU several tiles share a batch, whose last bits differ from those of a tile by itself."""
    image, detector = random_image(70, 100), fast()
    predictor = Predictor(detector, tiling=TILING, batch=4)
    recording = record(predictor, image, conf=0.3)
    assert_same(recording.reported, predictor.predict_one(image, 0.3).detections)
    alone = record(Predictor(detector, tiling=TILING), image, conf=0.3)
    for one, other in zip(recording.parts, alone.parts, strict=True):
        assert one.place == other.place
        assert one.second is not None
        assert other.second is not None
        assert one.first is not None
        assert other.first is not None
        torch.testing.assert_close(one.second.output.logits[:3], other.second.output.logits[:3], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(one.first.output.logits, other.first.output.logits, atol=1e-3, rtol=1e-3)
        assert len(one.second.pooled) == len(one.proposals.scores)


@pytest.mark.parametrize("made", [exact, fast, half])
def test_every_value_is_that_of_the_stage_computed_by_itself(made: Callable[[], PreparedDetector]) -> None:
    detector = made()
    part = record(Predictor(detector), random_image(70, 100), 0.5).whole
    network = part.network
    assert network is detector.network
    assert part.first is not None
    assert part.second is not None
    with detector.computing(), stages.evaluating(network):
        body = network.backbone.through_body(part.images.pixels)
        features = network.backbone.through_neck(body)
        output = network.rpn(features)
        pooled = network.roi.pool(features, [part.proposals.boxes])
        regions = network.roi.outputs(pooled)
    for recorded, computed in (
        *zip(part.body, body, strict=True),
        *zip(part.features, features, strict=True),
        (part.first.output.logits, output.logits),
        (part.first.output.deltas, output.deltas),
        (part.second.pooled, pooled),
        (part.second.output.logits, regions.logits),
        (part.second.output.deltas, regions.deltas),
    ):
        assert torch.equal(recorded, computed)


def test_what_was_given_is_kept() -> None:
    image, truth = random_image(70, 100), truth_of([(1, 2, 30, 40)])
    predictor = Predictor(exact())
    recording = record(predictor, image, 0.25, truth)
    assert isinstance(recording, Recording)
    assert (recording.image, recording.truth, recording.conf) == (image, truth, 0.25)
    assert recording.predictor is predictor
    assert torch.equal(recording.pixels, image)
    assert recording.whole.place == Tile(0, 0, 100, 70)


def test_the_rule_of_the_second_stage_is_the_one_that_was_used() -> None:
    detector = exact()
    own = record(Predictor(detector), random_image(70, 100), 0.0).whole.second
    assert own is not None
    assert own.rule == detector.model.roi.detection_filter
    rule = replace(own.rule, max_detections=3)
    recorder = RecordingDetector.of(detector)
    [found] = recorder.detect([random_image(70, 100)], (), rule)
    assert len(found) == 3
    assert recorder.passes[0].second is not None
    assert recorder.passes[0].second.rule is rule


def test_a_compiled_network_is_the_one_that_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = fast()
    compiled = prepare(loaded_model(), CPU, torch.float32, exact=False).network
    compiler = ShapeCompiler(detector.network, detector.model, CPU)
    monkeypatch.setattr(ShapeCompiler, "model_for", lambda self, size: compiled)
    part = record(Predictor(replace(detector, compiler=compiler)), random_image(70, 100), 0.5).whole
    assert part.network is compiled


def test_the_detector_itself_does_not_change() -> None:
    detector = exact()
    detector.model.train()
    record(Predictor(detector), random_image(70, 100), 0.5)
    assert detector.model.training
    assert not isinstance(detector, RecordingDetector)
    assert detector.classes == CLASSES


def test_impossible_numbers_and_images_are_refused() -> None:
    predictor = Predictor(exact())
    with pytest.raises(OptionError, match="E125 conf 2"):
        record(predictor, random_image(20, 20), 2)
    with pytest.raises(ImageError, match="E120 image: of 20000x1 pixels"):
        record(predictor, random_image(1, 20_000), 0.5)
