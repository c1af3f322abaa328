"""The graph finds what the detector finds: with a pyramid, like c4 and like the paper, in batches, with nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.testing import assert_close

from exports import C4, PAPER, SIZE, small_detector
from faster_rcnn.export.program import detection_module
from faster_rcnn.export.suppression import IN_ONNX, IN_TORCH, Selections
from faster_rcnn.weights.exported import ExportFacts
from tiny import random_image

PYRAMID: dict[str, dict[str, Any]] = {
    "rpn": {
        "anchor_stride": "fitted",
        "proposals_after_nms": 20,
        "anchor_sizes": ((), (8.0,), (16.0,), (32.0,), (64.0,)),
    }
}
KINDS = pytest.mark.parametrize("sections", [C4, PAPER, PYRAMID], ids=["c4", "paper", "pyramid"])


@KINDS
@pytest.mark.parametrize("ways", [IN_TORCH, IN_ONNX], ids=["torch", "onnx"])
def test_detections_are_those_of_the_detector(sections: dict[str, dict[str, Any]], ways: Selections) -> None:
    loaded = small_detector(sections)
    module = detection_module(loaded, ExportFacts("pt2", None, SIZE, nms=True, prepares=True), ways)
    images = torch.stack([random_image(*SIZE, seed) for seed in (1, 2)])
    with torch.no_grad():
        boxes, scores, labels, num = module(images)
    for index, expected in enumerate(loaded.model.detect(list(images))):
        count = int(num[index])
        assert count == len(expected) > 0
        assert_close(boxes[index, :count], expected.boxes, rtol=0, atol=1e-3)
        assert_close(scores[index, :count], expected.scores, rtol=0, atol=1e-5)
        assert torch.equal(labels[index, :count], expected.labels)


def test_a_score_floor_that_nothing_reaches_gives_num_zero() -> None:
    loaded = small_detector({**C4, "roi": {**C4["roi"], "score_floor": 0.999}})
    module = detection_module(loaded, ExportFacts("pt2", None, SIZE, nms=True, prepares=True), IN_TORCH)
    with torch.no_grad():
        boxes, scores, _, num = module(random_image(*SIZE)[None])
    assert num.tolist() == [0]
    assert not boxes.any()
    assert not scores.any()


def test_images_that_are_prepared_before_have_their_own_sizes() -> None:
    loaded = small_detector(C4)
    module = detection_module(loaded, ExportFacts("pt2", None, None, nms=True, prepares=False), IN_TORCH)
    images = [random_image(64, 70), random_image(64, 80, 1)]  # both are padded to 64 x 96
    [group] = loaded.model.preparation.groups(images)
    with torch.no_grad():
        boxes, _, _, num = module(group.images.pixels, torch.tensor(group.images.sizes))
    for index, expected in enumerate(loaded.model.detect(images)):
        assert_close(boxes[index, : int(num[index])], expected.boxes, rtol=0, atol=1e-3)
