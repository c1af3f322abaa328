"""Timing the parts of a detection does not change it."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.benchmark.stages import ImageTimes, detect_in_parts, time_faster_rcnn
from faster_rcnn.inference.inputs import to_pixels
from faster_rcnn.inference.prepared import prepare
from files import CLASSES, image_file, loaded_model
from tiny import decided_model, random_image

CPU = torch.device("cpu")
PAPER: dict[str, dict[str, Any]] = {
    "backbone": {"neck": "none", "levels": (3,)},
    "rpn": {"anchor_sizes": ((16, 32),), "objectness": "softmax"},
    "roi": {"pooling": "pool"},
}
"""One level, as the paper has it."""


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sections", [{}, PAPER], ids=["pyramid", "one level"])
def test_the_detections_are_those_of_detect(
    precision: torch.dtype, sections: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    file = image_file(tmp_path / "a.png", 50, 90)
    detector = prepare(loaded_model(CLASSES, **sections), CPU, precision)
    with detector.computing():
        times, found = detect_in_parts(detector.network, lambda: to_pixels(file, "a", 10_000))
        [expected] = detector.network.detect([to_pixels(file, "a", 10_000)])
    assert len(expected) > 10
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert min(astuple(times)) > 0


def test_parts_add_up() -> None:
    times = ImageTimes(1, 2, 4, 8, 16, 32, 64, 128, 256)
    assert times.total == 511
    assert times.dense == 4 + 8 + 16
    stages = times.in_stages
    assert (stages.features, stages.proposals, stages.regions) == (12, 48, 448)
    assert stages.total == times.total - times.decode - times.resize


def test_the_three_stages_of_the_paper() -> None:
    times = time_faster_rcnn(decided_model(), random_image(40, 60))
    assert min(times.features, times.proposals, times.regions) > 0
