"""Published weights of torchvision's detectors by the name of their layout."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchvision.models import get_model_weights

from faster_rcnn.errors import MachineError
from faster_rcnn.weights.download import FAILURES, downloading, reason
from faster_rcnn.weights.foreign.layouts import model_from_layout
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS
from faster_rcnn.weights.model_file import LoadedModel

EPSILON_OF = {"torchvision:fasterrcnn_resnet50_fpn": 0.0}
"""Batch norm's epsilon of published weights whose epsilon differs from the preset's; torchvision sets it at loading."""


def published_model(name: str) -> LoadedModel:
    """torchvision's detector with its COCO weights, downloaded once and kept in torch's cache.

    Raises:
        MachineError: the weights are not in the cache, and the download fails.
    """
    weights = get_model_weights(name.removeprefix("torchvision:")).DEFAULT
    config = LAYOUTS[name].config()
    if name in EPSILON_OF:
        backbone = config.backbone.model_copy(update={"norm_epsilon": EPSILON_OF[name]})
        config = config.model_copy(update={"backbone": backbone})
    return model_from_layout(name, _download(name, weights), name, LAYOUTS[name].classes(), config)


def _download(name: str, weights: Any) -> Mapping[str, Tensor]:
    try:
        with downloading():
            tensors: Mapping[str, Tensor] = weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True)
    except FAILURES as error:
        raise MachineError(
            f"{name} could not be downloaded from {weights.url} ({reason(error)}); download that file elsewhere, then: "
            f"faster-rcnn import FILE --layout {name} --out MODEL"
        ) from error
    return tensors
