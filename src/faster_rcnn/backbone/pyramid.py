"""Feature pyramid (Lin et al., arXiv 1612.03144, section 3) on a body: one backbone pass, features of all scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from faster_rcnn.backbone.body import MobileNetBody, TimmBody
from faster_rcnn.backbone.norm import freeze_norms


class FeaturePyramid(nn.Module):
    """Top-down path with lateral connections, and one more level by subsampling the coarsest."""

    def __init__(self, body_channels: Sequence[int], channels: int, norm: bool) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_conv(each, channels, 1, norm) for each in body_channels)
        self.output = nn.ModuleList(_conv(channels, channels, 3, norm) for _ in body_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (images, channels, rows, columns), finest first, one more than given."""
        laterals = [layer(feature) for layer, feature in zip(self.lateral, features, strict=True)]
        merged = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            merged.insert(0, lateral + interpolate(merged[0], size=lateral.shape[-2:], mode="nearest"))
        levels = [layer(each) for layer, each in zip(self.output, merged, strict=True)]
        return [*levels, max_pool2d(levels[-1], kernel_size=1, stride=2)]


class Backbone(nn.Module):
    """Body and pyramid; the part of the detector that runs once per image (section 3, Fig. 2: "conv layers")."""

    def __init__(self, body: TimmBody | MobileNetBody, pyramid: FeaturePyramid, frozen_norm: bool) -> None:
        super().__init__()
        self.body = body
        self.pyramid = pyramid
        self.strides = (*body.strides, body.strides[-1] * 2)
        self._frozen_norm = frozen_norm
        self.train(self.training)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """Feature maps (images, channels, rows, columns), one for each of ``strides``, finest first."""
        features: list[Tensor] = self.pyramid(self.body(pixels))
        return features

    def train(self, mode: bool = True) -> Backbone:
        """Switch the mode, except for frozen batch norm."""
        super().train(mode)
        if self._frozen_norm:
            freeze_norms(self.body)
        return self


def _conv(inputs: int, outputs: int, kernel: int, norm: bool) -> nn.Sequential:
    """A convolution that keeps the resolution, started as in FPN (Xavier's uniform with a = 1), and a norm if asked."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=not norm)
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs)) if norm else nn.Sequential(conv)


def largest_stride(strides: Sequence[int]) -> int:
    """What the sides of a batch must be multiples of: the stride of the body, for the subsampled level rounds up.

    >>> largest_stride((4, 8, 16, 32, 64))
    32
    """
    return int(torch.tensor(strides[:-1]).max())
