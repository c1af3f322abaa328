"""torchvision's own detectors with random weights that behave like trained ones, for tests of equality with ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.transforms.functional import pil_to_tensor

from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap, Detections
from faster_rcnn.weights.foreign.layouts import model_from_layout
from faster_rcnn.weights.model_file import LoadedModel

PHOTOGRAPHS = ("000000000009.jpg", "000000000036.jpg", "000000000072.jpg")
"""640 x 480, 481 x 640 and 427 x 640 pixels: wide, high, and with odd sides."""


def read_photograph(path: Any) -> Tensor:
    """RGB of 8 bits, (3, H, W)."""
    with Image.open(path) as image:
        pixels: Tensor = pil_to_tensor(image.convert("RGB"))
    return pixels


def build_peer(layout: str, outputs: int, seed: int, **settings: Any) -> Any:
    """torchvision's detector with new weights; the same for the same seed. ``outputs`` counts background."""
    torch.manual_seed(seed)
    build = getattr(detection, layout.removeprefix("torchvision:"))
    return build(weights=None, weights_backbone=None, num_classes=outputs, **settings).eval()


def spread_outputs(peer: Any, photograph: Tensor) -> None:
    """Make scores and boxes vary as those of a trained detector do, on this photograph and others.

    New weights say nearly the same everywhere. So batch norm takes its statistics from the photograph, with some
    noise, and the four last layers are made one after the other to have outputs of a chosen mean and spread.
    """
    sides = peer.transform.min_size, peer.transform.max_size
    peer.transform.min_size, peer.transform.max_size = (320,), 533  # for speed; statistics hardly depend on it
    norms = [layer for layer in peer.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.train().momentum = 1.0
    _run(peer, photograph)
    for norm in norms:
        norm.eval().momentum = 0.1
        _disturb(norm)
    _calm_branches(peer.backbone.body)
    _vary(peer, peer.rpn.head.cls_logits, photograph, mean=-1.0, spread=2.0)
    _vary(peer, peer.rpn.head.bbox_pred, photograph, mean=0.0, spread=0.3)
    _vary(peer, peer.roi_heads.box_predictor.cls_score, photograph, mean=0.0, spread=2.0)
    _vary(peer, peer.roi_heads.box_predictor.bbox_pred, photograph, mean=0.0, spread=1.0)
    peer.transform.min_size, peer.transform.max_size = sides


def imported(peer: Any, layout: str, classes: ClassMap, config: Config | None = None) -> LoadedModel:
    """Our detector with the same weights, and the settings of the layout unless others are given."""
    return model_from_layout("peer", peer.state_dict(), layout, classes, config)


def numbered_classes(count: int) -> ClassMap:
    """Classes without interesting names; label l is torchvision's l + 1."""
    return ClassMap(tuple(f"class {label}" for label in range(count)), tuple(range(1, count + 1)))


def assert_same(expected: Detections, found: Detections, *, least_labels: int = 2) -> None:
    """Same count, matched one to one within a label; boxes within 0.05 pixels, scores within 1e-4."""
    assert len(found) == len(expected)
    assert len(expected) >= 50, "too few detections to compare"
    assert len(expected.labels.unique()) >= least_labels
    distances = (found.boxes[:, None] - expected.boxes[None]).abs().amax(dim=2)
    partner = distances.masked_fill(found.labels[:, None] != expected.labels[None], torch.inf).argmin(dim=1)
    assert len(partner.unique()) == len(partner)
    assert torch.equal(found.labels, expected.labels[partner])
    torch.testing.assert_close(found.boxes, expected.boxes[partner], rtol=0, atol=0.05)
    torch.testing.assert_close(found.scores, expected.scores[partner], rtol=0, atol=1e-4)


def _disturb(norm: nn.BatchNorm2d) -> None:
    """Statistics and affine part that are neither exact nor 1 and 0."""
    for factor_of in (norm.weight, norm.running_var):
        assert factor_of is not None
        factor_of.data.mul_(torch.empty_like(factor_of).uniform_(0.8, 1.25))
    for shift_of in (norm.bias, norm.running_mean):
        assert shift_of is not None
        shift_of.data.add_(torch.randn_like(shift_of) * 0.05)


def _calm_branches(body: nn.Module) -> None:
    """Make the last norm of every block weak, so that shortcuts carry most, as in trained networks.

    Else rounding (about 1e-6, from resizing before or after normalising) grows a thousandfold over 50 random layers,
    and what is compared is noise.
    """
    for name, layer in body.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and name.endswith((".bn3", ".block.2.1", ".block.3.1")):
            layer.weight.data.mul_(0.2)


def _vary(peer: Any, layer: Any, photograph: Tensor, *, mean: float, spread: float) -> None:
    """Make a linear layer read the eight directions in which its input varies most, mixed at random."""
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _layer, inputs, _output: seen.append(_by_channel(inputs[0])))
    _run(peer, photograph)
    handle.remove()
    inputs = torch.cat(seen)
    variances, directions = torch.linalg.eigh(torch.cov(inputs.T))
    unit_spread = directions[:, -8:] / variances[-8:].sqrt()
    weight = torch.randn(len(layer.weight), 8) @ unit_spread.T * (spread / 8**0.5)
    layer.weight.data.copy_(weight.reshape(layer.weight.shape))
    layer.bias.data.copy_(mean - weight @ inputs.mean(dim=0))


def _by_channel(output: Tensor) -> Tensor:
    """Rows of one position each, from (B, C, H, W), or as they are."""
    return output.transpose(0, 1).flatten(1).T if output.ndim == 4 else output


@torch.no_grad()
def _run(peer: Callable[..., Any], photograph: Tensor) -> None:
    peer([photograph.float() / 255])
