"""Detectors that are copied, pickled and sent to another process."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from operator import methodcaller
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn import Detector
from faster_rcnn.errors import ModelFileError
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.weights.model_file import packed_model, unpacked_model, write_loaded
from files import CLASSES, image_file, loaded_model, model_file, quantized, rgb

WAYS: dict[str, Callable[[Detector], Detector]] = {
    "pickle": lambda detector: pickle.loads(pickle.dumps(detector)),
    "oldest pickle": lambda detector: pickle.loads(pickle.dumps(detector, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "in a list": lambda detector: copy.deepcopy([detector])[0],
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors")


def assert_same(one: Detector, other: Detector) -> None:
    ours, theirs = (each.predict([rgb(), rgb(60, 40, seed=1)], conf=0.0) for each in (one, other))
    for a, b in zip(ours, theirs, strict=True):
        assert len(a) > 5
        assert torch.equal(a.boxes, b.boxes)
        assert torch.equal(a.scores, b.scores)
        assert torch.equal(a.labels, b.labels)
    assert (one.classes, one.config, repr(one)) == (other.classes, other.config, repr(other))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "auto"])
def test_a_copy_gives_the_same_detections(way: str, precision: Any, model: Path) -> None:
    detector = Detector.load(model, "cpu", precision)
    detector.predict(rgb())  # so that weights are packed before
    assert_same(WAYS[way](detector), detector)


@pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")
def test_a_copy_of_a_quantized_detector_gives_the_same_detections(tmp_path: Path) -> None:
    file, loaded = tmp_path / "quantized.safetensors", quantized(loaded_model())
    write_loaded(file, loaded)
    detector = Detector.load(file, "cpu", "int8")
    other = pickle.loads(pickle.dumps(detector))
    assert_same(other, detector)
    assert other._detector.precision == torch.int8


def test_its_size_is_that_of_the_model_file(model: Path) -> None:
    detector = Detector.load(model, "cpu")
    size = len(pickle.dumps(detector))
    for _ in range(2):
        detector.predict([rgb(seed=seed) for seed in range(3)])
    assert size == len(pickle.dumps(detector))
    assert model.stat().st_size <= size < model.stat().st_size + 1000


def test_copies_are_apart(model: Path) -> None:
    detector = Detector.load(model, "cpu", "float32")
    other = copy.deepcopy(detector)
    with torch.no_grad():
        other.model.roi.classes.weight.zero_()
    assert detector.model.roi.classes.weight.abs().sum() > 0
    # A pickle has the weights at the time of pickling.
    assert pickle.loads(pickle.dumps(other)).model.roi.classes.weight.abs().sum() == 0


def test_a_spawned_process_finds_the_same(model: Path, tmp_path: Path) -> None:
    detector = Detector.load(model, "cpu", "float32")
    path = image_file(tmp_path / "a.png")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(Detector.predict, detector, path, 0.0).result(timeout=300)
        text = pool.submit(json.dumps, pool.submit(methodcaller("to_json"), result).result(timeout=300)).result()
    expected = detector.predict(path, 0.0)
    assert len(result) == len(expected)
    # Another process may have another number of threads, which changes the last bits.
    torch.testing.assert_close(result.boxes, expected.boxes, rtol=0, atol=1e-3)
    assert result.names == expected.names
    assert len(json.loads(text)["detections"]) == len(expected)


def test_a_pickle_contains_a_model_file(model: Path, tmp_path: Path) -> None:
    loaded = loaded_model()
    assert packed_model(loaded) == model.read_bytes()
    assert unpacked_model(model.read_bytes(), "x").classes == CLASSES


def test_a_network_that_its_settings_do_not_describe_is_refused() -> None:
    detector = Detector(loaded_model(), "cpu")
    detector.model.roi.classes = torch.nn.Linear(32, 9)
    with pytest.raises(ModelFileError, match=r"E123 the pickled detector: tensor 'roi.classes.weight' has"):
        copy.deepcopy(detector)
