"""Body and feature pyramid (Lin et al., arXiv 1612.03144, section 3): features of all scales in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from faster_rcnn.backbone.body import MobileNetBody, TimmBody
from faster_rcnn.backbone.norm import freeze_norms
from faster_rcnn.kernels.conv3x3 import conv3x3


class FeaturePyramid(nn.Module):
    """Feature pyramid: a top-down path with lateral connections, and one more level that subsamples the coarsest.

    Coarse to fine, each level adds the next coarser one, enlarged::

        body:   C2      C3      C4      C5
                 |1x1    |1x1    |1x1    |1x1
                 + <-x2- + <-x2- + <-x2- +
                 |3x3    |3x3    |3x3    |3x3
                P2      P3      P4      P5 -> P6 (every second)

    The finest ``plain`` levels have no 3x3 convolution, which costs three times as much at a level as at all
    coarser ones together.
    """

    def __init__(self, body_channels: Sequence[int], channels: int, norm: bool, plain: int = 0) -> None:
        super().__init__()
        self.channels = channels
        self.lateral = nn.ModuleList(
            _started(nn.Conv2d(each, channels, 1, bias=not norm), norm) for each in body_channels
        )
        self.output = nn.ModuleList(
            nn.Identity() if level < plain else _started(conv3x3(channels, channels, bias=not norm), norm)
            for level in range(len(body_channels))
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Feature maps (images, channels, rows, columns), finest first, to pyramid levels, one more than given."""
        laterals = [layer(feature) for layer, feature in zip(self.lateral, features, strict=True)]
        merged = [laterals[-1]]
        for lateral, feature in zip(reversed(laterals[:-1]), reversed(features[:-1]), strict=True):
            merged.insert(0, lateral + interpolate(merged[0], size=feature.shape[-2:], mode="nearest"))
        levels = [layer(each) for layer, each in zip(self.output, merged, strict=True)]
        return [*levels, levels[-1][..., ::2, ::2]]


class Backbone(nn.Module):
    """Body and neck: the part of the detector that runs once per image (section 3, Fig. 2: "conv layers")."""

    def __init__(self, body: TimmBody | MobileNetBody, pyramid: FeaturePyramid | None, frozen_norm: bool) -> None:
        """Without a pyramid, both stages read the one level of the body, as in the paper."""
        super().__init__()
        self.body = body
        self.pyramid = pyramid
        self.region_strides = tuple(body.strides)
        """Strides of the levels that regions may read: the subsampled one is for anchors only (FPN, section 4.1)."""
        self.channels = body.channels[-1] if pyramid is None else pyramid.channels
        """Channels of every feature map."""
        self.strides = self.region_strides if pyramid is None else (*body.strides, body.strides[-1] * 2)
        self.stride = max(body.strides)
        """The sides of a batch are padded to multiples of this; the subsampled level rounds up."""
        self._frozen_norm = frozen_norm
        self._fixed = False
        self.train(self.training)

    def forward(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """Feature maps (images, channels, rows, columns), one for each of ``strides``, finest first.

        Their type is that of the weights, or that of autocast.
        """
        return self.through_neck(self.through_body(pixels))

    def through_body(self, pixels: Float[Tensor, "images 3 height width"]) -> list[Tensor]:
        """The body's own feature maps (images, channels, rows, columns), finest first."""
        floats = next((each.dtype for each in self.parameters()), pixels.dtype)  # a quantized body has no parameters
        features: list[Tensor] = self.body(pixels.to(floats))
        return features

    def through_neck(self, features: list[Tensor]) -> list[Tensor]:
        """The feature maps that both stages read, made from those of the body; the same maps if there is no neck."""
        if self.pyramid is None:
            return features
        levels: list[Tensor] = self.pyramid(features)
        return levels

    def fix(self) -> None:
        """Exclude the backbone from training from now on: steps 3 and 4 of alternating training (section 3.2)."""
        self._fixed = True
        self.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Backbone:
        """Switch the mode, except that of frozen batch norm and of a fixed backbone."""
        super().train(mode and not self._fixed)
        if self._frozen_norm:
            freeze_norms(self.body)
        return self


def _started(conv: nn.Conv2d, norm: bool) -> nn.Sequential:
    """Initialize a convolution as FPN does (Caffe2's XavierFill: Kaiming uniform, a = 1); append a norm if asked."""
    nn.init.kaiming_uniform_(conv.weight, a=1)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels)) if norm else nn.Sequential(conv)
