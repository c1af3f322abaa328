"""Same weights, image and truth as torchvision's detectors, and the same sample: the same losses and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import _utils

from faster_rcnn.images import rescale_boxes, resize, size_of
from faster_rcnn.losses import Losses
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi import targets as roi_targets
from faster_rcnn.rpn import targets as rpn_targets
from faster_rcnn.structures import GroundTruth, Matches, Sample
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS
from tiny import training_batch
from torchvision_peer import (
    PHOTOGRAPHS,
    build_peer,
    imported,
    numbered_classes,
    read_photograph,
    spread_outputs,
)

NAMES = {
    "loss_objectness": "rpn_objectness",
    "loss_rpn_box_reg": "rpn_box",
    "loss_classifier": "roi_class",
    "loss_box_reg": "roi_box",
}

PARAMETERS = {
    "resnet50": (
        ("backbone.body.layer3.0.conv1.weight", "backbone.body.layers.layer3.0.conv1.weight"),
        ("rpn.head.conv.0.0.weight", "rpn.head.convs.0.weight"),
        ("roi_heads.box_predictor.bbox_pred.weight", "roi.deltas.weight"),
    ),
    "mobilenet": (
        ("backbone.body.13.block.0.0.weight", "backbone.body.layers.13.block.0.0.weight"),
        ("rpn.head.conv.0.0.weight", "rpn.head.convs.0.weight"),
        ("roi_heads.box_predictor.bbox_pred.weight", "roi.deltas.weight"),
    ),
}
"""One of each part, of layers that are trained: torchvision's name and ours."""

REGIONS = 64
SHORT_SIDE, LONG_SIDE = 160, 256
SMALL = {
    "min_size": SHORT_SIDE,
    "max_size": LONG_SIDE,
    "box_batch_size_per_image": REGIONS,
    "rpn_post_nms_top_n_test": 150,
}
"""Less than the layouts' own sizes, for speed."""

TRUTH = GroundTruth(
    boxes=torch.tensor([[30.0, 40.0, 250.0, 330.0], [300.0, 200.0, 420.0, 300.0], [10.0, 350.0, 90.0, 440.0]]),
    labels=torch.tensor([4, 0, 11]),
    ignored=torch.tensor([False, False, False]),
)
"""In the pixels of the first photograph, 640 x 480."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_losses_and_gradients(layout: str, data_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    photograph = read_photograph(data_folder("coco128") / "images" / PHOTOGRAPHS[0])
    peer = build_peer(layout, outputs=21, seed=1, **SMALL)
    spread_outputs(peer, photograph)
    config = LAYOUTS[layout].config()
    config = config.model_copy(update={"roi": config.roi.model_copy(update={"samples_per_image": REGIONS})})
    ours = imported(peer, layout, numbered_classes(20), config).model
    sample_by_index(monkeypatch)

    assert_same_losses(losses_of_peer(peer, photograph), losses_of_ours(ours, photograph))

    with counting_in_float64(peer, ours):
        theirs, losses = losses_of_peer(peer, photograph), losses_of_ours(ours, photograph)
        assert_same_losses(theirs, losses)
        torch.autograd.backward(list(theirs.values()))
        torch.autograd.backward(list(losses.values()))
    assert_same_gradients(layout, peer, ours)


def assert_same_losses(theirs: dict[str, Tensor], ours: dict[str, Tensor]) -> None:
    assert len(theirs) == len(ours) == len(NAMES)
    for name, value in theirs.items():
        assert value > 0.01, f"{name} is 0 and compares nothing"
        relative = float(ours[NAMES[name]].detach() / value.detach()) - 1
        assert abs(relative) < 1e-4, f"{name} differs by {relative}"


def assert_same_gradients(layout: str, peer: Any, ours: FasterRCNN) -> None:
    of_peer, of_ours = dict(peer.named_parameters()), dict(ours.named_parameters())
    for their_name, our_name in PARAMETERS[layout.removeprefix("torchvision:fasterrcnn_").split("_")[0]]:
        gradient, expected = of_ours[our_name].grad, of_peer[their_name].grad
        assert gradient is not None
        if our_name == "roi.deltas.weight":
            expected = expected[4:]  # without the rows of background
        relative = float((gradient - expected).norm() / expected.norm())
        assert relative < 1e-4, f"{our_name} differs by {relative}"


@contextmanager
def counting_in_float64(peer: Any, ours: FasterRCNN) -> Iterator[None]:
    """Both detectors count with twice the digits, also where they ask for float32.

    In float32 the gradient of a deep network with ReLU is not defined to 1e-4: rounding turns one unit in a hundred
    thousand on or off, and our own gradient in the body of the v2 layout changes by 1 % when every pixel is changed
    by 1e-6.
    """
    peer.double()
    ours.double()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tensor, "float", Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def losses_of_peer(peer: Any, photograph: Tensor) -> dict[str, Tensor]:
    peer.train()
    if not any(isinstance(layer, nn.BatchNorm2d) for layer in peer.roi_heads.modules()):
        freeze(peer.backbone.body)  # torchvision does so by another class of norm, where weights are fetched
    targets = [{"boxes": TRUTH.boxes.to(torch.get_default_dtype()), "labels": TRUTH.labels + 1}]
    losses: dict[str, Tensor] = peer([photograph.float() / 255], targets)
    return losses


def losses_of_ours(model: FasterRCNN, photograph: Tensor) -> dict[str, Tensor]:
    resized = resize(photograph, SHORT_SIDE, LONG_SIDE, "plain", "down")
    boxes = rescale_boxes(TRUTH.boxes, size_of(photograph), size_of(resized))
    losses: Losses = model.train()(training_batch([resized], [GroundTruth(boxes, TRUTH.labels, TRUTH.ignored)], [0]))
    return losses.named()


def freeze(body: nn.Module) -> None:
    for layer in body.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval().requires_grad_(False)


def sample_by_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both detectors train on the first positives and the first negatives, instead of random ones."""
    monkeypatch.setattr(_utils.BalancedPositiveNegativeSampler, "__call__", sample_of_peer)
    monkeypatch.setattr(rpn_targets, "sample", first_ones)
    monkeypatch.setattr(roi_targets, "sample", first_ones)


def sample_of_peer(sampler: Any, labels_of_images: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """torchvision's labels: at least 1 is positive, 0 negative, -1 neutral."""
    positives, negatives = [], []
    for labels in labels_of_images:
        positive, negative = quotas(labels >= 1, labels == 0, sampler.batch_size_per_image, sampler.positive_fraction)
        positives.append(torch.zeros_like(labels, dtype=torch.uint8).index_fill_(0, positive, 1))
        negatives.append(torch.zeros_like(labels, dtype=torch.uint8).index_fill_(0, negative, 1))
    return positives, negatives


def first_ones(matches: Matches, *, size: int, positive_fraction: float, seed: int) -> Sample:
    del seed
    positive, negative = quotas(matches.positive, matches.negative, size, positive_fraction)
    indices = torch.cat((positive, negative))
    return Sample(indices, torch.arange(len(indices)) < len(positive), torch.ones(len(indices), dtype=torch.bool))


def quotas(positive: Tensor, negative: Tensor, size: int, fraction: float) -> tuple[Tensor, Tensor]:
    chosen = torch.nonzero(positive)[: int(size * fraction), 0]
    return chosen, torch.nonzero(negative)[: size - len(chosen), 0]
