"""Same weights as torchvision's detectors, the same photograph: the same detections."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torchvision.models.detection.rpn import AnchorGenerator

from faster_rcnn.settings.resolve import resolve_config
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Detections
from faster_rcnn.weights.classes import coco_classes
from faster_rcnn.weights.foreign.layouts import layout_named
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


SHORT_SIDE, LONG_SIDE, PROPOSALS = 192, 320, 150
SMALL = {"min_size": SHORT_SIDE, "max_size": LONG_SIDE, "rpn_post_nms_top_n_test": PROPOSALS}
"""Less than the layouts' own sizes, for speed."""
SEEDS_OF_SMALL = {**SEEDS, "torchvision:fasterrcnn_mobilenet_v3_large_fpn": 0}


@pytest.mark.parametrize("layout", SEEDS)
def test_detections(layout: str, data_folder: Callable[[str], Path]) -> None:
    config = layout_named(layout).config()
    image = config.image.model_copy(update={"short_side": SHORT_SIDE, "long_side": LONG_SIDE})
    rpn = config.rpn.model_copy(update={"proposals_after_nms": PROPOSALS})
    assert_same_detections(
        layout, config.model_copy(update={"image": image, "rpn": rpn}), data_folder, SMALL, SEEDS_OF_SMALL[layout]
    )


@pytest.mark.soak
@pytest.mark.parametrize("layout", SEEDS)
def test_detections_at_the_layouts_own_sizes(layout: str, data_folder: Callable[[str], Path]) -> None:
    assert_same_detections(layout, layout_named(layout).config(), data_folder, {}, SEEDS[layout])


def assert_same_detections(
    layout: str, config: Config, data_folder: Callable[[str], Path], settings: dict[str, int], seed: int
) -> None:
    """Compare both detectors on all photographs; ``settings`` of the peer are those of ``config``."""
    photographs = [read_photograph(data_folder("coco128") / "images" / name) for name in PHOTOGRAPHS]
    peer = build_peer(layout, outputs=21, seed=seed, **settings)
    spread_outputs(peer, photographs[0])
    ours = imported(peer, layout, numbered_classes(20), config).model
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
    assert_same(expected.above(0.0, max_detections=100), ours.model.detect([photograph])[0])


def test_anchors_of_ones_own() -> None:
    """A state dict does not hold them: with the settings that torchvision's detector had, ours finds the same."""
    layout, sizes = "torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", (8.0, 16.0, 32.0, 64.0, 128.0)
    picture = smooth_noise()
    peer = build_peer(layout, outputs=4, seed=6)
    peer.rpn.anchor_generator = AnchorGenerator((sizes,) * 3, ((0.5, 1.0, 2.0),) * 3)
    spread_outputs(peer, picture)
    given = ["rpn.anchor_sizes=[[8,16,32,64,128],[8,16,32,64,128],[8,16,32,64,128]]"]
    config = resolve_config(None, None, given, {}, start=layout_named(layout).config())
    expected = detections_of_peer(peer, picture)
    assert_same(expected, imported(peer, layout, numbered_classes(3), config).model.detect([picture])[0])
    others = imported(peer, layout, numbered_classes(3)).model.detect([picture])[0]
    assert not torch.equal(others.boxes[:5].round(), expected.boxes[:5].round())


def smooth_noise() -> Tensor:
    """A made-up picture of 240 x 320 pixels with large and small spots."""
    generator = torch.Generator().manual_seed(0)
    spots = [torch.rand(1, 3, side, side + 2, generator=generator) for side in (4, 12, 40)]
    layers = [interpolate(each, size=(240, 320), mode="bilinear") for each in spots]
    return (torch.stack(layers).mean(dim=0)[0] * 255).to(torch.uint8)


def detections_of_peer(peer: Any, photograph: Tensor) -> Detections:
    with torch.no_grad():
        (found,) = peer([photograph.float() / 255])
    return Detections(found["boxes"], found["scores"], found["labels"] - 1)
