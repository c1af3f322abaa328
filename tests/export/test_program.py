"""A program takes any number of images of any size that was promised, and refuses a size that padding cannot give."""

from __future__ import annotations

import pytest
import torch

from exports import C4, SIZE, small_detector
from faster_rcnn.errors import OptionError
from faster_rcnn.export.program import exported_program
from faster_rcnn.export.suppression import IN_TORCH
from faster_rcnn.inference.exported import smallest_side
from faster_rcnn.structures import ImageSize
from faster_rcnn.weights.exported import ExportFacts


def test_a_size_that_is_no_multiple_of_the_padding_is_refused() -> None:
    with pytest.raises(OptionError, match="multiples of"):
        exported_program(small_detector(C4), ExportFacts("pt2", None, SIZE, nms=True, prepares=False), IN_TORCH)


def test_a_detector_of_tiny_images_has_no_program_for_any_size() -> None:
    loaded = small_detector({**C4, "image": {**C4.get("image", {}), "short_side": 16, "long_side": 16}})
    with pytest.raises(OptionError, match=r"E125 --size dynamic: .* to 16 pixels, .* give a size"):
        exported_program(loaded, ExportFacts("pt2", None, None, nms=False, prepares=False), IN_TORCH)


def test_a_program_finds_one_object_or_none() -> None:
    for floor, most in ((0.999, 0), (0.0, 1)):
        loaded = small_detector({**C4, "roi": {**C4["roi"], "score_floor": floor, "max_detections": 1}})
        facts = ExportFacts("pt2", None, SIZE, nms=True, prepares=True)
        module = exported_program(loaded, facts, IN_TORCH).module(check_guards=False)
        blank = torch.full((1, 3, *SIZE), 127, dtype=torch.uint8)
        assert module(blank)[3].tolist() == [most]


def test_a_program_for_any_size_takes_several() -> None:
    loaded = small_detector(C4)
    program = exported_program(loaded, ExportFacts("pt2", None, None, nms=False, prepares=False), IN_TORCH)
    least = smallest_side(loaded.model)
    for batch, size in ((1, ImageSize(least, least + 32)), (3, ImageSize(160, 96))):
        boxes, scores = program.module()(torch.zeros(batch, 3, *size), torch.tensor([list(size)] * batch))
        assert boxes.shape == (batch, 12, 3, 4)
        assert scores.shape == (batch, 12, 3)
