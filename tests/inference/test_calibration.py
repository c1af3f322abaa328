"""Activation ranges measured on image files equal those of their pixels; damaged files are left out."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from faster_rcnn.acceleration.folding import prepare_for_inference
from faster_rcnn.acceleration.quantization import calibrate
from faster_rcnn.errors import DatasetError
from faster_rcnn.inference.calibration import calibrate_on_files
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.kernels.int8_layers import weight_limit
from faster_rcnn.system.devices import choose_precision
from files import image_file, loaded_model

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(weight_limit() == 0, reason="oneDNN has no int8 convolutions here")


def test_ranges_are_those_of_the_pixels_and_damaged_files_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = [image_file(tmp_path / name, seed=seed) for seed, name in enumerate(("a.png", "b.png"))]
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        ranges, count = calibrate_on_files(loaded_model(), [good[0], bad, good[1]], 3)
    assert count == 2
    assert "bad.png" in caplog.text
    network = prepare_for_inference(loaded_model().model.eval(), choose_precision("auto", CPU), exact=False)
    assert ranges == calibrate(network, [to_pixels(path, str(path), 10**6) for path in good])
    with pytest.raises(DatasetError, match="E122 no image of 1 can be read"):
        calibrate_on_files(loaded_model(), [bad], 3)
