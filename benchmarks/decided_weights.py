"""Made weights with which a detector decides as a trained one does, so that exports of it can be compared.

Random weights say nearly the same about every region, and the last bit of a score decides what NMS keeps. Here the four
last layers have outputs that spread widely on a picture, the background wins everywhere on a blank image, and one class
answers to what a tiny object changes. Nothing is trained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from faster_rcnn.backbone.norm import norms
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights.pretrained import load_pretrained

PACKAGED = ("tf_efficientnet_lite0",)
"""Bodies whose trained weights need no network; others keep their random ones."""
CALM = 0.2
"""Weight of the last batch norm of a residual branch: else rounding errors grow from block to block."""
OBJECTNESS, CLASSES, RPN_DELTAS, ROI_DELTAS = 2.0, 1.0, 0.2, 0.5
"""Standard deviations of the outputs on the picture."""
LEAD = 4.0
"""By how much the logit of the background leads on a blank image, where a trained detector finds nothing."""
ANSWER = 8.0
"""By how much the first class's logit is higher for the region of a tiny object than for those of a blank image, and
the background's lower for those of the picture."""


@torch.no_grad()
def decide(model: FasterRCNN, config: Config, picture: Tensor, blank: Tensor, tiny: Tensor) -> None:
    """Change the weights of a new detector in place; the images are uint8 (3, H, W)."""
    if config.backbone.body in PACKAGED:
        load_pretrained(model, config)
    else:
        _calm(model, picture)
    _spread(model, model.rpn.head.objectness, picture, OBJECTNESS)
    _spread(model, model.rpn.head.deltas, picture, RPN_DELTAS)
    _spread(model, model.roi.classes, picture, CLASSES)
    _spread(model, model.roi.deltas, picture, ROI_DELTAS)
    _answer(model, picture, blank, tiny)
    logits = _seen(model, model.roi.classes, blank)[1]  # (regions, classes + 1)
    model.roi.classes.bias[-1] += LEAD + (logits[:, :-1].amax(dim=1) - logits[:, -1]).max()


def _calm(model: FasterRCNN, picture: Tensor) -> None:
    """Give each batch norm the mean and variance of its input on a picture, so that no layer enlarges differences."""

    def take(norm: nn.Module, inputs: tuple[Any, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(inputs[0].mean(dim=(0, 2, 3)))
        norm.running_var.copy_(inputs[0].var(dim=(0, 2, 3)))

    for name, norm in model.named_modules():
        if isinstance(norm, nn.BatchNorm2d) and name.endswith("bn3"):
            nn.init.constant_(norm.weight, CALM)
    handles = [each.register_forward_pre_hook(take) for each in norms(model)]
    model.detect([picture])
    for each in handles:
        each.remove()


def _spread(model: FasterRCNN, layer: Any, picture: Tensor, spread: float) -> None:
    """Scale and shift the channels of a layer, so that they have mean 0 and one standard deviation on the picture."""
    output = _seen(model, layer, picture)[1]
    factor = spread / output.std(dim=0).clamp(min=1e-6)
    layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.copy_((layer.bias - output.mean(dim=0)) * factor)


def _answer(model: FasterRCNN, picture: Tensor, blank: Tensor, tiny: Tensor) -> None:
    """Turn the background away from the regions of the picture, and the first class to that of the tiny object."""
    regions = _seen(model, model.roi.classes, blank)[0]  # (regions, features)
    usual = regions.mean(dim=0)  # (features,)
    crowded = _seen(model, model.roi.classes, picture)[0].mean(dim=0) - usual  # (features,)
    others = _seen(model, model.roi.classes, tiny)[0]  # (regions, features)
    nearest = torch.cdist(others, regions).min(dim=1).values  # (regions,)
    single = others[nearest.argmax()] - usual
    for row, direction, amount in ((-1, crowded, -ANSWER), (0, single, ANSWER)):
        step = amount * direction / direction.square().sum()
        model.roi.classes.weight[row] += step
        model.roi.classes.bias[row] -= step @ usual


def _seen(model: FasterRCNN, layer: nn.Module, image: Tensor) -> tuple[Tensor, Tensor]:
    """All inputs and outputs of a layer for an image, (places, channels) both."""
    found: list[tuple[Tensor, Tensor]] = []

    def keep(_layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        found.append((inputs[0].movedim(1, -1).flatten(0, -2), output.movedim(1, -1).flatten(0, -2)))

    handle = layer.register_forward_hook(keep)
    model.detect([image])
    handle.remove()
    return torch.cat([each[0] for each in found]), torch.cat([each[1] for each in found])
