"""An OpenVINO file in int8 holds quantized convolutions, an exact preparation, and the word int8 in its metadata."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch

from exports import C4, SIZE, small_detector
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.export.files import write_file
from faster_rcnn.export.int8 import nncf_package
from faster_rcnn.inference.exported import exported_detector
from faster_rcnn.structures import ImageSize
from faster_rcnn.weights.exported import ExportFacts
from tiny import random_image

openvino: Any = importlib.import_module("openvino")
pytest.importorskip("nncf", reason="needs nncf: pip install 'faster-rcnn[openvino-int8]'")


def test_convolutions_are_quantized_and_the_preparation_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    images = [random_image(*SIZE, seed) for seed in range(2)]
    write_file(small_detector(C4), ExportFacts("openvino", 1, SIZE, True, True, "int8"), path, images)
    model = openvino.Core().read_model(str(path))
    kinds = {each.get_type_name() for each in model.get_ordered_ops()}
    assert "FakeQuantize" in kinds
    quantized = [each for each in model.get_ordered_ops() if each.get_type_name() == "FakeQuantize"]
    readers = {
        target.get_node().get_type_name()
        for each in quantized
        for output in each.outputs()
        for target in output.get_target_inputs()
    }
    assert readers <= {"Convolution", "GroupConvolution", "MatMul", "Reshape", "Transpose"}
    [images_input] = model.inputs
    after = next(iter(images_input.get_target_inputs())).get_node()
    assert after.get_type_name() == "Convert"
    detector = exported_detector(path)
    assert detector.precision == torch.int8
    assert len(detector.detect([images[0]])) == 1
    assert exported_detector(path, "int8").config == detector.config


def test_images_of_another_shape_calibrate_a_file_for_one_size(tmp_path: Path) -> None:
    loaded = small_detector(C4)
    size = loaded.model.preparation.padded_size(loaded.model.preparation.padded_size(ImageSize(*SIZE)))
    portrait = random_image(2 * size.width, size.height, 0)
    write_file(loaded, ExportFacts("openvino", 1, size, True, False, "int8"), tmp_path / "m.xml", [portrait])
    assert exported_detector(tmp_path / "m.xml").precision == torch.int8


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r"'nncf': pip install 'faster-rcnn\[openvino-int8\]'"):
        nncf_package()
