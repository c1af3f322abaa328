"""The convolutional body: any timm model that gives feature maps, or torchvision's MobileNetV3.

Strides and channels are properties of the body, never inferred from the shape of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from timm.models import FeatureInfo
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large

from faster_rcnn.backbone.depthwise import replace_slow_depthwise
from faster_rcnn.backbone.stages import dilate, stride_in_first_conv, timm_features
from faster_rcnn.errors import OptionError

MOBILENET = "torchvision:mobilenet_v3_large"


class TimmBody(nn.Module):
    """A timm model cut down to its feature maps."""

    def __init__(
        self,
        name: str,
        levels: Sequence[int],
        frozen_stages: int,
        *,
        stride_in_1x1: bool = False,
        dilated_last_stage: bool = False,
    ) -> None:
        super().__init__()
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
        _refuse_missing_stages(name, frozen_stages, len(info.info))
        if frozen_stages:
            _freeze_through(self.layers, info.info[frozen_stages - 1]["module"])

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """Feature maps (images, channels, rows, columns), finest first."""
        return list(self.layers(pixels))


class MobileNetBody(nn.Module):
    """torchvision's MobileNetV3-Large; its stages are numbered as in torchvision's detectors.

    Stage 0 is the stem, stages 1 to 4 begin at the blocks that halve the resolution, stage 5 is the last convolution.
    A stage's feature map is the output of the block that begins it.
    """

    STAGES = (0, 2, 4, 7, 13, 16)
    STRIDES = (2, 4, 8, 16, 32, 32)
    CHANNELS = (16, 24, 40, 80, 160, 960)

    def __init__(self, levels: Sequence[int], frozen_stages: int) -> None:
        super().__init__()
        if not all(0 <= level < len(self.STAGES) for level in levels):
            raise OptionError(
                f"backbone.levels is {tuple(levels)}; '{MOBILENET}' has levels 0 to {len(self.STAGES) - 1}"
            )
        _refuse_missing_stages(MOBILENET, frozen_stages, len(self.STAGES))
        self.layers = mobilenet_v3_large(weights=None).features
        self.channels = tuple(self.CHANNELS[level] for level in levels)
        self.strides = tuple(self.STRIDES[level] for level in levels)
        self._outputs = tuple(self.STAGES[level] for level in levels)
        ends = (*self.STAGES, len(self.layers))
        for layer in self.layers[: ends[frozen_stages]]:
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
) -> TimmBody | MobileNetBody:
    """A body with random weights, its first stages not trained.

    Raises ``OptionError`` for an unknown name, and for levels or stages that it does not have. Strides grow by two at
    most: Eq. 1 of FPN assigns regions to every level between the finest and the coarsest.
    """
    if name == MOBILENET and (stride_in_1x1 or dilated_last_stage):
        raise OptionError(f"backbone.stride_in_1x1 and backbone.dilated_last_stage are for ResNets, not for '{name}'")
    body = (
        MobileNetBody(levels, frozen_stages)
        if name == MOBILENET
        else TimmBody(name, levels, frozen_stages, stride_in_1x1=stride_in_1x1, dilated_last_stage=dilated_last_stage)
    )
    if not all(coarse in (fine, 2 * fine) for fine, coarse in pairwise(body.strides)):
        raise OptionError(
            f"backbone.levels {tuple(levels)} of '{name}' have the strides {body.strides}; "
            "each must be as large as the one before or twice as large"
        )
    return body


def _refuse_missing_stages(name: str, frozen_stages: int, stages: int) -> None:
    if frozen_stages > stages:
        raise OptionError(f"backbone.frozen_stages is {frozen_stages}; '{name}' has {stages} stages")


def _freeze_through(layers: nn.Module, last: str) -> None:
    """Stop the training of every parameter up to and including those of the module called ``last``.

    Parameters stand in the order of the forward pass. A stage that ends in a layer without parameters (ResNet's
    stem ends in an activation) ends before the first parameter of the next stage.
    """
    names = [name for name, _ in layers.named_modules()]
    if last not in names:
        last = last.replace(".", "_")  # a list of features has flattened its names
    upto = {name for name in names[: names.index(last) + 1] if name} | {last}
    for name, module in layers.named_modules():
        if name in upto or name.startswith(f"{last}."):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
