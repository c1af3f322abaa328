"""Detectron2's detectors with weights made by a formula: what our import finds is what its definitions say."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from detectron2_peer import formula_weights, read_peer
from faster_rcnn.images import target_size
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import Detections, ImageSize, Proposals
from faster_rcnn.weights.foreign.layouts import classes_of, layout_named, model_from_layout
from parity import detectron2_reference as reference
from torchvision_peer import assert_same

SMALL = (128, 256)
"""Short and long side, instead of 800 and 1333, for speed."""
PROPOSALS = 60
"""Instead of 1000, for speed."""

SIZES = (ImageSize(128, 171), ImageSize(150, 128))
"""Wide and high, with sides that are no multiples of a stride; not resized, since one side is 128."""

SEEDS = {
    "faster_rcnn_R_50_FPN_3x": 1,
    "faster_rcnn_R_50_C4_3x": 1,
    "faster_rcnn_R_50_DC5_3x": 1,
    "faster_rcnn_X_101_32x8d_FPN_3x": 1,
    "fast_rcnn_R_50_FPN_1x": 1,
    "rpn_R_50_FPN_1x": 1,
}
"""Weights without pairs of overlapping candidates so nearly equal that the order of additions decides which stays."""


@pytest.mark.parametrize("name", SEEDS)
@torch.no_grad()
def test_detections(name: str, detectron2_keys: Path) -> None:
    peer = read_peer(detectron2_keys, name)
    tensors = formula_weights(peer, SEEDS[name])
    most = min(PROPOSALS, peer.settings["MODEL.RPN.POST_NMS_TOPK_TEST"])
    settings = {**peer.settings, "MODEL.RPN.POST_NMS_TOPK_TEST": most}
    images = [picture(size, seed) for seed, size in enumerate(SIZES)]
    external = [some_boxes(size, seed) for seed, size in enumerate(SIZES)] if name.startswith("fast_") else None
    spread_outputs(tensors, settings, images[0], None if external is None else external[0])
    config = smaller(layout_named(peer.layout).config())
    ours = model_from_layout("peer", tensors, peer.layout, classes_of("peer", tensors, peer.layout, None), config).model
    for index, image in enumerate(images):
        boxes = None if external is None else external[index]
        given = None if boxes is None else [Proposals(boxes, torch.linspace(1, 0.1, len(boxes)))]
        expected = Detections(*reference.detect(tensors, settings, image, boxes))
        assert_same(expected, ours.detect([image], given)[0], least_labels=1 if name.startswith("rpn") else 5)


def smaller(config: Config) -> Config:
    short_side, long_side = SMALL
    image = config.image.model_copy(update={"short_side": short_side, "long_side": long_side})
    rpn = config.rpn.model_copy(update={"proposals_after_nms": PROPOSALS})
    return config.model_copy(update={"image": image, "rpn": rpn})


def picture(size: ImageSize, seed: int) -> Tensor:
    """Patches of smooth colours and a little noise: uint8 RGB."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 11, generator=generator) * 255
    smooth = interpolate(coarse, size=tuple(size), mode="bicubic")[0]
    noise = torch.randn(3, *size, generator=generator) * 12
    return (smooth + noise).clamp(0, 255).to(torch.uint8)


def some_boxes(size: ImageSize, seed: int) -> Tensor:
    """External proposals, of 8 to 100 pixels a side, inside the image."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(120, 2, generator=generator) * torch.tensor([size.width - 20.0, size.height - 20.0])
    sides = 8 + torch.rand(120, 2, generator=generator) * 92
    limit = torch.tensor([float(size.width), float(size.height)])
    return torch.cat((corner, torch.minimum(corner + sides, limit)), dim=1)


def spread_outputs(tensors: dict[str, Tensor], settings: Any, image: Tensor, external: Tensor | None) -> None:
    """Give the last layers weights that tell positions and regions of this image apart, as trained ones do."""
    features, strides = reference.features_of(tensors, settings, image)
    boxes = external
    if f"{reference.RPN}conv.weight" in tensors:
        hidden = torch.cat([each[0].flatten(1).T for each in reference.rpn_hidden(tensors, features)])
        vary(tensors, f"{reference.RPN}objectness_logits", hidden, mean=-1.0, spread=2.0)
        vary(tensors, f"{reference.RPN}anchor_deltas", hidden, mean=0.0, spread=0.3)
        boxes, _ = reference.propose(tensors, settings, features, strides, image)
    if boxes is not None and f"{reference.PREDICTOR}cls_score.weight" in tensors:
        vectors = reference.region_vectors(tensors, settings, features, strides, boxes)
        vary(tensors, f"{reference.PREDICTOR}cls_score", vectors, mean=0.0, spread=3.0)
        vary(tensors, f"{reference.PREDICTOR}bbox_pred", vectors, mean=0.0, spread=1.0)


def vary(tensors: dict[str, Tensor], layer: str, inputs: Tensor, *, mean: float, spread: float) -> None:
    """Let a linear layer read the eight directions in which its inputs (rows) vary most, mixed at random."""
    assert 0.01 < float(inputs.std()) < 100, f"activations before {layer} have left any sane size"
    weight = tensors[f"{layer}.weight"]
    _, sizes, directions = torch.pca_lowrank(inputs, q=16, niter=8)
    unit_spread = directions[:, :8] / (sizes[:8] / math.sqrt(len(inputs)))
    mixed = torch.randn(len(weight), 8) @ unit_spread.T * (spread / math.sqrt(8))
    tensors[f"{layer}.weight"] = mixed.reshape(weight.shape)
    tensors[f"{layer}.bias"] = mean - mixed @ inputs.mean(dim=0)


# The reference itself, against numbers worked out by hand ----------------------------------------------------------


def test_anchors_by_size_then_ratio() -> None:
    # Size 32, ratio 0.5: width sqrt(1024 / 0.5) = 45.2548, height 22.6274. Ratio 1: 32 x 32. Then size 64, twice that.
    cell = reference.cell_anchors([32, 64], [0.5, 1.0])
    expected = [
        [-22.6274, -11.3137, 22.6274, 11.3137],
        [-16, -16, 16, 16],
        [-45.2548, -22.6274, 45.2548, 22.6274],
        [-32, -32, 32, 32],
    ]
    torch.testing.assert_close(cell, torch.tensor(expected), rtol=0, atol=1e-4)
    # Two columns of stride 16, centres at 0 and 16; all four shapes of one place before the next.
    grid = reference.grid_anchors(cell, 1, 2, 16)
    assert grid[1].tolist() == [-16, -16, 16, 16]
    assert grid[5].tolist() == [0, -16, 32, 16]


def test_roi_align_on_a_ramp() -> None:
    # A feature's value is its column; in stride 4 a column c stands for the pixel 4c + 2. A region from x = 8 to 24 in
    # two bins has their centres at 12 and 20: columns 12 / 4 - 0.5 = 2.5 and 4.5.
    ramp = torch.arange(10.0).expand(1, 1, 10, 10)
    found = reference.pooled(torch.tensor([[8.0, 8.0, 24.0, 24.0]]), [ramp], [4], 2)
    assert found[0, 0].tolist() == [[2.5, 4.5], [2.5, 4.5]]
    # Adaptive samples: of a step from 0 to 8 between columns 4 and 5, a bin of columns 3.5 to 7.5 has samples at 4, 5,
    # 6, 7: 0, 8, 8, 8. One sample in its middle, 5.5, would give 8.
    step = torch.tensor([0.0] * 5 + [8.0] * 5).expand(1, 1, 10, 10)
    found = reference.pooled(torch.tensor([[16.0, 8.0, 32.0, 24.0]]), [step], [4], 1)
    assert found.item() == 6


def test_decoding() -> None:
    # A box 10 wide, 20 high, centre (5, 10). dx = 1 / 10 of its width, dw = 5 * ln 2 / 5 doubles the width; dh is
    # beyond the clamp: 20 * 1000 / 16 = 1250.
    deltas = torch.tensor([[1.0, 0.0, 5 * math.log(2), 100.0]])
    found = reference.decode(deltas, torch.tensor([[0.0, 0.0, 10.0, 20.0]]), (10, 10, 5, 5))
    torch.testing.assert_close(found, torch.tensor([[6 - 10.0, 10 - 625.0, 6 + 10.0, 10 + 625.0]]))


def test_levels() -> None:
    # 224 is level 4; 112 level 3; 111.9 falls to 2; 448 is 5, and nothing is beyond 2 or 5.
    sides = [224.0, 112.0, 111.9, 448.0, 3.0, 2000.0]
    boxes = torch.tensor([[0.0, 0.0, side, side] for side in sides])
    assert (reference.levels_of(boxes) + 2).tolist() == [4, 3, 2, 5, 2, 5]


def test_the_last_output_is_background() -> None:
    # Scores of two classes and background: softmax(2, 0, 1) = 0.665, 0.090, 0.245. Classes 0 and 1 are above 0.05.
    tensors = {
        f"{reference.PREDICTOR}cls_score.weight": torch.zeros(3, 1),
        f"{reference.PREDICTOR}cls_score.bias": torch.tensor([2.0, 0.0, 1.0]),
        f"{reference.PREDICTOR}bbox_pred.weight": torch.zeros(8, 1),
        f"{reference.PREDICTOR}bbox_pred.bias": torch.tensor([0.0, 0, 0, 0, 10, 0, 0, 0]),
    }
    settings = {
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 0.05,
        "MODEL.ROI_HEADS.NMS_THRESH_TEST": 0.5,
        "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": (10, 10, 5, 5),
        "TEST.DETECTIONS_PER_IMAGE": 100,
    }
    region, image = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.zeros(3, 40, 15)
    boxes, scores, labels = reference.infer(tensors, settings, torch.zeros(1, 1), region, image)
    assert labels.tolist() == [0, 1]
    torch.testing.assert_close(scores, torch.tensor([0.6652, 0.0900]), rtol=0, atol=1e-4)
    assert boxes.tolist() == [[0, 0, 10, 10], [10, 0, 15, 10]]  # class 1 moves by a whole width, to the border at 15


def test_bgr_and_mean() -> None:
    # RGB (255, 0, 51) is BGR (51, 0, 255); minus (103.53, 116.28, 123.675).
    settings = {"MODEL.PIXEL_MEAN": [103.53, 116.28, 123.675], "MODEL.PIXEL_STD": [1.0, 1.0, 2.0]}
    image = torch.tensor([255, 0, 51], dtype=torch.uint8)[:, None, None]
    found = reference.normalised(image, settings, 2)
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor([-52.53, -116.28, 65.6625]))
    assert found.shape == (1, 3, 2, 2)
    assert not found[..., 1].any()


def test_sizes_in_use_are_not_resized() -> None:
    assert all(target_size(size, *SMALL, "nearest") == size for size in SIZES)
