from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from PIL import Image

from faster_rcnn import Detector, Trace
from faster_rcnn.errors import ImageError, ModelFileError, OptionError
from faster_rcnn.inference.result import Result
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.model import FasterRCNN
from faster_rcnn.weights.model_file import write_loaded
from files import CLASSES, coco_folder, image_file, loaded_model, model_file, quantized, rgb
from made_data import make_squares, settings_file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors")


@pytest.fixture(scope="module")
def detector(model: Path) -> Detector:
    return Detector.load(model, device="cpu", precision="float32")


def test_one_image_gives_one_result(detector: Detector, tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png")
    for image in (path, str(path), path.read_bytes(), Image.open(path), rgb(), torch.zeros(3, 20, 20)):
        assert isinstance(detector.predict(image, conf=0.0), Result)


def test_a_detector_is_made_of_what_load_takes_and_is_called_as_a_function(
    model: Path, detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = detector.predict(rgb(), conf=0.0)
    for given in (model, str(model)):
        found = Detector(given, device="cpu", precision="float32")(rgb(), conf=0.0)
        assert isinstance(found, Result)
        assert torch.equal(found.boxes, expected.boxes)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    for wrong, kind in ((5, "of type int"), (None, "of type NoneType"), ("", "an empty text")):
        with pytest.raises(OptionError, match=rf"^E125 model is {kind}; it must be a path$"):
            Detector.load(wrong)  # type: ignore[arg-type]


def test_settings_of_inference_are_those_of_predictions_and_traces_and_stay_when_pickled(model: Path) -> None:
    detector = Detector.load(model, "cpu", "float32", settings=["roi.max_detections=3", "rpn.proposals_after_nms=9"])
    assert (detector.config.roi.max_detections, detector.config.rpn.proposals_after_nms) == (3, 9)
    found = detector.predict(rgb(), conf=0.0)
    assert len(found) == 3
    trace = detector.trace(rgb(), conf=0.0)
    assert torch.equal(trace.detections.boxes, found.boxes)
    assert len(trace.recording.whole.proposals.scores) == 9
    copied = pickle.loads(pickle.dumps(detector))
    assert torch.equal(copied.predict(rgb(), conf=0.0).boxes, found.boxes)
    with pytest.raises(OptionError, match=r"^E125 --set rpn\.anchor_sizes=1: this setting belongs to"):
        Detector.load(model, settings="rpn.anchor_sizes=1")


def test_devices_paths_and_settings_are_taken_as_python_has_them(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = Detector.load(model, torch.device("cpu"), "float32")
    assert str(detector._detector.device) == "cpu"
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    wrong: Any
    for wrong, kind in ((None, "of type NoneType"), (["a"], "of type list"), ("", "an empty text")):
        for call in (detector.evaluate, Detector.train):
            with pytest.raises(OptionError, match=rf"^E125 data is {kind}; it must be a path$"):
                call(wrong)
    wrong = 5
    with pytest.raises(OptionError, match=r"^E125 out is of type int"):
        Detector.train(tmp_path, out=wrong)
    with pytest.raises(OptionError, match=r"E125 --set training\.flop=0: there is no setting"):
        Detector.train(tmp_path, settings="training.flop=0")  # one setting, not its letters


def test_images_of_other_kinds_are_taken_or_refused_at_the_call(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = image_file(tmp_path / "a.png")
    expected = detector.predict(path, conf=0.0)
    with path.open("rb") as file:
        found = detector.predict(file, conf=0.0)
    assert torch.equal(found.boxes, expected.boxes)
    assert (np.asarray(found.picture()) == np.asarray(expected.picture())).all()  # the file is closed
    named = detector.predict(np.array([str(path)] * 2), conf=0.0)
    assert [one.path for one in named] == [path, path]
    assert torch.equal(named[1].boxes, expected.boxes)
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ImageError, match="E121 image is None: was a file not found"):
        detector.predict(None)  # type: ignore[call-overload]
    with pytest.raises(OptionError, match=r"E125 conf '0\.5' is text; it must be a number: conf=0\.5"):
        detector.predict(path, conf="0.5")


def test_a_list_gives_a_list_and_an_iterator_stays_lazy(detector: Detector) -> None:
    images = [rgb(seed=seed) for seed in range(3)]
    listed = detector.predict(images, conf=0.0, max_det=4)
    assert isinstance(listed, list)
    assert [len(one) for one in listed] == [4, 4, 4]
    assert isinstance(detector.predict(tuple(images)), list)
    lazy = detector.predict(iter(images), conf=0.0, max_det=4)
    assert isinstance(lazy, Iterator)
    for one, other in zip(lazy, listed, strict=True):
        torch.testing.assert_close(one.boxes, other.boxes)
    assert detector.predict([]) == []


def test_tiles(detector: Detector) -> None:
    image = rgb(70, 90)
    usual, tiled = detector.predict(image, conf=0.0), detector.predict(image, conf=0.0, tile=40, overlap=0.25)
    assert len(tiled) > len(usual)
    [listed] = detector.predict([image], conf=0.0, tile=40, overlap=0.25)
    assert torch.equal(listed.boxes, tiled.boxes)
    assert torch.equal(detector.predict(image, conf=0.0, tile=90).boxes, usual.boxes)
    with pytest.raises(OptionError, match=r"E125 overlap 0\.5 is for tiles, and no tile is given"):
        detector.predict(image, overlap=0.5)


def test_trace_keeps_what_predict_computes(detector: Detector, tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.png", 70, 90)
    tiles: dict[str, Any] = {"tile": 40, "overlap": 0.25}
    for options in ({}, tiles):
        trace, expected = detector.trace(path, conf=0.3, **options), detector.predict(path, conf=0.3, **options)
        assert isinstance(trace, Trace)
        assert torch.equal(trace.detections.boxes, expected.boxes)
        assert torch.equal(trace.detections.scores, expected.scores)
        assert trace.recording.image == path
    box = trace.detections.boxes[0].tolist()
    judged = detector.trace(path, [(expected.names[0], box)], conf=0.3, iou_threshold=0.9, **tiles)
    [verdict] = judged.verdicts
    assert (verdict.kind, verdict.detection) == ("found", 0)
    assert judged.thresholds.iou == 0.9
    with pytest.raises(OptionError, match="E125 truth 0: the detector has no class 'horse'"):
        detector.trace(path, [("horse", box)])
    with pytest.raises(OptionError, match=r"E125 overlap 0\.5 is for tiles, and no tile is given"):
        detector.trace(path, overlap=0.5)


def test_the_model_classes_and_settings_of_a_detector(detector: Detector) -> None:
    assert isinstance(detector.model, FasterRCNN)
    assert detector.classes == CLASSES
    assert detector.config.image.short_side == 64
    assert repr(detector) == "Detector(small, 3 classes: cat, dog, cow; on cpu)"


def test_a_run_folder_is_a_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "best.safetensors").write_bytes(model.read_bytes())
    assert Detector.load(tmp_path, device="cpu").classes == CLASSES


@pytest.mark.parametrize(
    ("options", "message"),
    [({"precision": "float16"}, "E125 precision 'float16' is none of"), ({"device": "tpu"}, "E126 .* tpu is not a")],
)
def test_precisions_devices_and_models_that_do_not_exist_are_refused(
    model: Path, options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # users have no type checks
    with pytest.raises(OptionError, match=message):
        Detector.load(model, **options)
    with pytest.raises(ModelFileError):
        Detector.load("no/such/model")


def test_evaluate_gives_metrics(detector: Detector, tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[(0, 5, 5, 30, 20)], []])
    metrics = detector.evaluate(data, split="test")
    assert (metrics.images, metrics.truths) == (2, 1)
    assert detector.evaluate(str(data)).to_json("test") == metrics.to_json("test")
    assert detector.evaluate(data, tile=60).to_json("test") == metrics.to_json("test")  # all of them fit into a tile
    with pytest.raises(OptionError, match="E125 tile 0"):
        detector.evaluate(data, tile=0)


def test_evaluate_measures_some_classes_alone(detector: Detector, tmp_path: Path) -> None:
    data = coco_folder(tmp_path, [[(0, 5, 5, 30, 20), (1, 0, 0, 12, 12)]])
    metrics = detector.evaluate(data, classes=["dog"], iou=0.4, agnostic_nms=True)
    assert [each.name for each in metrics.per_class] == ["dog"]
    assert metrics.truths == 1
    with pytest.raises(OptionError, match="E125 classes: the detector has no class 'bird'"):
        detector.evaluate(data, classes="bird")


def test_a_saved_detector_is_the_same_one_with_its_settings(detector: Detector, model: Path, tmp_path: Path) -> None:
    assert detector.save(tmp_path / "same.safetensors") == tmp_path / "same.safetensors"
    assert (tmp_path / "same.safetensors").read_bytes() == model.read_bytes()
    other = Detector.load(model, "cpu", "float32", settings="roi.max_detections=3").save(str(tmp_path / "other"))
    assert Detector.load(other).config.roi.max_detections == 3


def test_train_does_what_the_command_does(tmp_path: Path) -> None:
    data = coco_folder(tmp_path / "data", [[(0, 5, 5, 30, 20)], [(1, 0, 0, 20, 20)]], split="train")
    settings = ("backbone.body=test_resnet", "backbone.weights=none", "backbone.pyramid_channels=16")
    detector = Detector.train(
        data,
        model="small",
        out=tmp_path / "run",
        epochs=1,
        image_size=64,
        workers=0,
        precision="float32",
        settings=(*settings, "roi.head_hidden=[32]"),
    )
    assert detector.classes == CLASSES
    assert detector.config.training.epochs == 1
    assert (tmp_path / "run" / "best.safetensors").is_file()
    assert isinstance(detector.predict(rgb()), Result)


def test_int8_needs_a_quantized_file(model: Path) -> None:
    with pytest.raises(ModelFileError, match=r"E123 precision int8: .*: faster-rcnn quantize MODEL DATA --out FILE"):
        Detector.load(model, device="cpu", precision="int8")


@pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")
@pytest.mark.parametrize("fast", [False, True])
def test_a_quantized_file_runs_in_int8_where_that_is_named_or_faster(
    fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faster_rcnn.acceleration.selection.int8_is_fast", lambda: fast)
    file, loaded = tmp_path / "quantized.safetensors", quantized(loaded_model())
    write_loaded(file, loaded)
    auto, named, floats = (Detector.load(file, "cpu", each) for each in ("auto", "int8", "float32"))
    assert named._detector.precision == torch.int8
    assert (auto._detector.precision == torch.int8) == fast
    ours, theirs, of_auto = (each.predict(rgb(), conf=0.0) for each in (named, floats, auto))
    assert len(ours) == pytest.approx(len(theirs), rel=0.2)
    assert torch.equal(of_auto.boxes, ours.boxes) == fast
    with pytest.raises(OptionError, match="E125 compile=True: a detector in int8 is not compiled"):
        Detector.load(file, "cpu", "int8", compile=True)


@pytest.mark.xdist_group("several processes")
def test_training_in_other_processes_logs_here_and_returns_the_best_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "faster_rcnn")
    data = make_squares(tmp_path / "data", {"train": 4})
    config = settings_file(tmp_path, epochs=1)
    found = Detector.train(data, config=config, out=tmp_path / "run", processes=2)
    assert found.classes.names == ("dark", "light")
    assert found.config.training.processes == 2
    assert capfd.readouterr() == ("", "")
    logged = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert ("INFO", f"run folder: {tmp_path / 'run'}") in logged
    assert any(level == "WARNING" and "no validation split" in text for level, text in logged)
