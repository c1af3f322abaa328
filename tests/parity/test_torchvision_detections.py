"""Same weights as torchvision's detectors, the same photograph: the same detections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from faster_rcnn.structures import Detections
from faster_rcnn.weights.classes import coco_classes
from torchvision_peer import (
    PHOTOGRAPHS,
    assert_same,
    build_peer,
    imported,
    numbered_classes,
    read_photograph,
    spread_outputs,
)

SEEDS = {
    "torchvision:fasterrcnn_resnet50_fpn": 3,
    "torchvision:fasterrcnn_resnet50_fpn_v2": 3,
    "torchvision:fasterrcnn_mobilenet_v3_large_fpn": 2,
    "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn": 6,
}
"""Weights that give detections of several classes, and few pairs of overlapping candidates so nearly equal (1e-6) that
the order of additions decides which of the two stays."""


@pytest.mark.parametrize("layout", SEEDS)
def test_detections(layout: str, data_folder: Callable[[str], Path]) -> None:
    photographs = [read_photograph(data_folder("coco128") / "images" / name) for name in PHOTOGRAPHS]
    peer = build_peer(layout, outputs=21, seed=SEEDS[layout])
    spread_outputs(peer, photographs[0])
    ours = imported(peer, layout, numbered_classes(20)).model
    for photograph in photographs:
        assert_same(detections_of_peer(peer, photograph), ours.detect([photograph])[0])


def test_holes_are_never_reported(data_folder: Callable[[str], Path]) -> None:
    layout = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn"
    photograph = read_photograph(data_folder("coco128") / "images" / PHOTOGRAPHS[0])
    peer = build_peer(layout, outputs=91, seed=1, box_detections_per_img=10_000)
    spread_outputs(peer, photograph)
    ours = imported(peer, layout, coco_classes())
    named = torch.tensor([name is not None for name in ours.classes.names])

    theirs = detections_of_peer(peer, photograph)
    holes = ~named[theirs.labels]
    expected = Detections(theirs.boxes[~holes], theirs.scores[~holes], theirs.labels[~holes])

    assert holes[:100].any(), "torchvision reports labels without a name, and so would we"
    assert_same(expected.above(0.0, most=100), ours.model.detect([photograph])[0])


def detections_of_peer(peer: Any, photograph: Tensor) -> Detections:
    with torch.no_grad():
        (found,) = peer([photograph.float() / 255])
    return Detections(found["boxes"], found["scores"], found["labels"] - 1)
