"""The convolutional body: any timm model with feature maps for images of any size, or torchvision's MobileNetV3.

Strides and channels are properties of the body, never inferred from the shape of a feature map. A detector's images
have many sizes. Most of timm's transformers take only one, and are refused when they are built.

A new body's 3x3 and depthwise convolutions are replaced once by subclasses (``kernels.conv3x3``, ``kernels.depthwise``)
that compute the same, with a faster backward pass on CPUs that need one. Their choice depends on gradient mode, dtype
and device of each call, so they are made for training as well as for inference, and ``print(model)`` shows them;
parameter names stay those of timm.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, product

import torch
from jaxtyping import Float
from timm.models import FeatureInfo
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large

from faster_rcnn.backbone.stages import dilate, modules_through, stride_in_first_conv, timm_features
from faster_rcnn.errors import OptionError
from faster_rcnn.kernels.conv3x3 import replace_conv3x3
from faster_rcnn.kernels.depthwise import replace_slow_depthwise

MOBILENET = "torchvision:mobilenet_v3_large"
SMALLEST_PROBE = 64
"""Smallest side in pixels of the image that a new body is tried with."""
LARGER_MULTIPLES = (32, 64, 224)
"""Multiples to suggest for a body that fails: two common strides, and seven windows of 32 pixels."""


class TimmBody(nn.Module):
    """A timm model without the layers after its last feature map."""

    def __init__(
        self,
        name: str,
        levels: Sequence[int],
        *,
        stride_in_1x1: bool = False,
        dilated_last_stage: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.layers = timm_features(name, levels)
        info: FeatureInfo = self.layers.feature_info  # type: ignore[assignment]  # timm is not typed
        self.channels = tuple(info.channels())
        self.strides = tuple(info.reduction())
        if stride_in_1x1:
            stride_in_first_conv(name, self.layers)
        if dilated_last_stage:
            dilate(name, self.layers.get_submodule(info.module_name()[-1]))
            self.strides = (*self.strides[:-1], self.strides[-1] // 2)
        replace_slow_depthwise(self.layers)
        replace_conv3x3(self.layers)
        self._stage_ends = tuple(stage["module"] for stage in info.info)

    def freeze(self, stages: int) -> None:
        """Exclude the first stages from training; raises ``OptionError`` for more than there are."""
        _refuse_missing_stages(self.name, stages, len(self._stage_ends))
        if stages:
            _freeze_through(self.name, self.layers, self._stage_ends[stages - 1])

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """Feature maps (images, channels, rows, columns), finest first."""
        return list(self.layers(pixels))


class MobileNetBody(nn.Module):
    """torchvision's MobileNetV3-Large; its stages are numbered as in torchvision's detectors.

    Stage 0 is the stem, stages 1 to 4 begin with the blocks that halve the resolution, stage 5 is the last convolution.
    A stage's feature map is the output of its first block.
    """

    STAGES = (0, 2, 4, 7, 13, 16)
    STRIDES = (2, 4, 8, 16, 32, 32)
    CHANNELS = (16, 24, 40, 80, 160, 960)

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not all(0 <= level < len(self.STAGES) for level in levels):
            raise OptionError(
                f"backbone.levels is {tuple(levels)}; '{MOBILENET}' has levels 0 to {len(self.STAGES) - 1}"
            )
        self.layers = mobilenet_v3_large(weights=None).features
        self.channels = tuple(self.CHANNELS[level] for level in levels)
        self.strides = tuple(self.STRIDES[level] for level in levels)
        self._outputs = tuple(self.STAGES[level] for level in levels)

    def freeze(self, stages: int) -> None:
        """Exclude the first stages from training; raises ``OptionError`` for more than there are."""
        _refuse_missing_stages(MOBILENET, stages, len(self.STAGES))
        ends = (*self.STAGES, len(self.layers))
        for layer in self.layers[: ends[stages]]:
            layer.requires_grad_(False)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """Feature maps (images, channels, rows, columns), finest first."""
        features = []
        for index, layer in enumerate(self.layers):
            pixels = layer(pixels)
            if index in self._outputs:
                features.append(pixels)
        return features


def build_body(
    name: str,
    levels: Sequence[int],
    frozen_stages: int,
    *,
    stride_in_1x1: bool = False,
    dilated_last_stage: bool = False,
    multiple: int = 0,
) -> TimmBody | MobileNetBody:
    """Build a body with random weights, whose first ``frozen_stages`` are not trained.

    The sides of its images are multiples of ``multiple``; 0 stands for its largest stride. Raises ``OptionError`` for
    an unknown name, for levels or stages that it does not have, and for a body that does not take all such images.
    The stride grows at most twofold from level to level: Eq. 1 of FPN assigns regions to every level between the finest
    and the coarsest.
    """
    if name == MOBILENET and (stride_in_1x1 or dilated_last_stage):
        raise OptionError(f"backbone.stride_in_1x1 and backbone.dilated_last_stage are for ResNets, not for '{name}'")
    body = (
        MobileNetBody(levels)
        if name == MOBILENET
        else TimmBody(name, levels, stride_in_1x1=stride_in_1x1, dilated_last_stage=dilated_last_stage)
    )
    if not all(coarse in (fine, 2 * fine) for fine, coarse in pairwise(body.strides)):
        raise OptionError(
            f"backbone.levels {tuple(levels)} of '{name}' have the strides {body.strides}; "
            "each must be as large as the one before or twice as large"
        )
    if not next(body.parameters()).is_meta:  # a body without values cannot be tried
        refuse_fixed_sizes(name, body, multiple)
    body.freeze(frozen_stages)
    return body


def refuse_fixed_sizes(name: str, body: TimmBody | MobileNetBody, multiple: int = 0) -> None:
    """Raise ``OptionError`` for a body that does not take images of any size, after one pass of a small image.

    ``multiple`` is the one of ``build_body``.
    """
    multiple = multiple or max(body.strides)
    fault = _fault(body, multiple)
    if fault is None:
        return
    larger = next((each for each in LARGER_MULTIPLES if each > multiple and _fault(body, each) is None), None)
    raise OptionError(
        f"backbone.body '{name}' must take images of any size, padded to multiples of {multiple} pixels, and does not: "
        f"{fault}; "
        + (
            "take another, such as --set backbone.body=resnet50"
            if larger is None
            else f"it takes multiples of {larger}: --set image.multiple_of={larger}"
        )
    )


def _fault(body: TimmBody | MobileNetBody, multiple: int) -> str | None:
    """How a body fails for an image whose sides are multiples; ``None`` if each level has its promised shape."""
    # Odd multiples, and no square: a body that needs even ones, or one size, fails. 0.1 s or less on one thread.
    odd = -(-SMALLEST_PROBE // multiple) | 1
    height, width = odd * multiple, (odd + 2) * multiple
    pixels = next(body.parameters()).new_zeros(1, 3, height, width)
    body.eval()  # so that batch norm keeps its statistics
    try:
        with torch.no_grad():
            features = body(pixels)
    except Exception as error:  # noqa: BLE001  # every family has its own way to fail, and that is the finding
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        return f"one of {height} x {width} stops it ({reason})"
    finally:
        body.train()
    for feature, channels, stride in zip(features, body.channels, body.strides, strict=True):
        # Bodies round down or up where a side is no multiple of the stride.
        rows, columns = ({side // stride, -(-side // stride)} for side in (height, width))
        if tuple(feature.shape) not in product({1}, {channels}, rows, columns):
            found, promised = tuple(feature.shape[1:]), (channels, max(rows), max(columns))
            return f"one of {height} x {width} gives features {found} at stride {stride}, not {promised}"
    return None


def _refuse_missing_stages(name: str, frozen_stages: int, stages: int) -> None:
    if frozen_stages > stages:
        raise OptionError(f"backbone.frozen_stages is {frozen_stages}; '{name}' has {stages} stages")


def _freeze_through(name: str, layers: nn.Module, end: str) -> None:
    """Exclude every parameter up to and including those of the module called ``end`` from training.

    A stage that ends in a layer without parameters (ResNet's stem ends in an activation) ends before the first
    parameter of the next stage.
    """
    modules = modules_through(layers, end)
    if modules is None:
        raise OptionError(
            f"backbone.frozen_stages: no layer of backbone.body '{name}' ends a stage, so none can be kept from "
            "training; --set backbone.frozen_stages=0"
        )
    for module in modules.values():
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
