"""Published weights by name, and what a user may write where a command takes a MODEL."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from torch import Tensor
from torchvision.models import get_model_weights

from faster_rcnn.errors import MachineError, ModelFileError
from faster_rcnn.settings.presets import PRESETS
from faster_rcnn.weights.download import FAILURES, downloading, reason
from faster_rcnn.weights.finding import find_model_file
from faster_rcnn.weights.foreign.layouts import layout_named, model_from_layout
from faster_rcnn.weights.foreign.torchvision_layout import LAYOUTS
from faster_rcnn.weights.model_file import LoadedModel, load_model

EPSILON_OF = {"torchvision:fasterrcnn_resnet50_fpn": 0.0}
"""Batch norm's epsilon of published weights whose epsilon differs from the preset's; torchvision sets it at loading."""


def resolve_model(text: str) -> LoadedModel:
    """The detector that a user means by a model file, a run folder or a published name.

    Raises ``ModelFileError`` for anything else, and ``MachineError`` for published weights without a network.
    """
    if os.path.exists(text):
        return load_model(find_model_file(text))
    if text in LAYOUTS:
        return published_model(text)
    if text.startswith("detectron2:"):
        layout_named(text)
        raise ModelFileError(
            f"'{text}' is a layout, and its weights are not downloaded; save their file from Detectron2's model zoo, "
            f"then: faster-rcnn import FILE --layout {text} --out MODEL",
            code="E123",
        )
    if text in PRESETS:
        raise ModelFileError(
            f"'{text}' is a preset, settings without trained weights; train one first: "
            f"faster-rcnn train DATA --model {text}",
            code="E123",
        )
    close = get_close_matches(text, LAYOUTS, n=1, cutoff=0.8)
    if close or text.startswith("torchvision:"):
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(LAYOUTS)}"
        raise ModelFileError(f"there are no published weights '{text}'; {hint}", code="E123")
    return load_model(find_model_file(text))


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
