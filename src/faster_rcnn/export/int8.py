"""An OpenVINO model in int8: NNCF measures activation ranges on images, and quantizes convolutions and products.

Only what has trained weights is quantized. Boxes, scores and NMS stay in float32, as does the preparation of images,
whose products have to be exact.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.export.verification import at_size
from faster_rcnn.preparation import Preparation
from faster_rcnn.system.packages import imported
from faster_rcnn.weights.exported import ExportFacts

EXTRA = "openvino-int8"
MAX_IMAGES = 32
"""Images on which ranges are measured."""
CONVOLUTIONS = ("Convolution", "GroupConvolution")
QUANTIZED = (*CONVOLUTIONS, "MatMul")
"""OpenVINO's names of the operations in int8."""


def nncf_package() -> Any:
    """The package NNCF; raises ``MissingExtraError`` where it is not installed."""
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return imported("nncf", EXTRA)


def quantized(model: Any, rule: Preparation, facts: ExportFacts, images: Sequence[Tensor]) -> Any:
    """Quantize an OpenVINO model that ``facts`` describe, with images (3, H, W) of the training data's kind."""
    nncf = nncf_package()
    inputs = [_inputs_of(each, rule, facts) for each in images[:MAX_IMAGES]]
    kinds = sorted({each.get_type_name() for each in model.get_ordered_ops()} - set(QUANTIZED))
    ignored = nncf.IgnoredScope(types=kinds, names=_products_of_preparation(model), validate=False)
    return nncf.quantize(
        model, nncf.Dataset(inputs), subset_size=len(inputs), ignored_scope=ignored, fast_bias_correction=True
    )


def _inputs_of(image: Tensor, rule: Preparation, facts: ExportFacts) -> list[Any]:
    """The inputs of one call of the graph, with the image in every place of its batch."""
    count = facts.batch or 1
    if facts.size is not None:
        image = at_size(image.float(), facts.size)
    if facts.prepares:
        return [image[None].repeat(count, 1, 1, 1).numpy()]
    [group] = rule.groups([image])
    sizes = torch.tensor([list(group.images.sizes[0])] * count)
    return [group.images.pixels.repeat(count, 1, 1, 1).contiguous().numpy(), sizes.numpy()]


def _products_of_preparation(model: Any) -> list[str]:
    """Names of the matrix products between the images and the first convolutions."""
    waiting, met, found = [each.get_node() for each in model.inputs], set(), []
    while waiting:
        node = waiting.pop()
        name = node.get_friendly_name()
        if name in met or node.get_type_name() in CONVOLUTIONS:
            continue
        met.add(name)
        if node.get_type_name() == "MatMul":
            found.append(name)
        waiting += [target.get_node() for output in node.outputs() for target in output.get_target_inputs()]
    return sorted(found)
