"""The pyramid level of each region (FPN, Eq. 1), and its pooled features (RoIAlign or RoI pooling)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.choices import PoolingMethod
from faster_rcnn.kernels.roi_align_cpu import roi_align_levels
from faster_rcnn.ops.boxes import area
from faster_rcnn.ops.roi_align import roi_pool_levels

CANONICAL_LEVEL = 4
"""The level of stride 2^4 = 16, the one that Fast R-CNN reads (FPN, section 4.2)."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """Numbers of ``RoiConfig`` for pooling, and the strides of the levels that regions read, finest first."""

    method: PoolingMethod
    side: int
    sampling_ratio: int
    canonical_size: float
    strides: tuple[int, ...]

    @property
    def aligned(self) -> bool:
        """Whether regions are shifted by half a feature, to where a feature's centre is."""
        return self.method == "aligned-align"

    def levels_of(self, boxes: Float[Tensor, "regions 4"]) -> Int[Tensor, " regions"]:
        """The level that each region reads, as an index among ``strides``."""
        finest, coarsest = (round(math.log2(stride)) for stride in (self.strides[0], self.strides[-1]))
        return pyramid_level(boxes, self.canonical_size, finest, coarsest) - finest


def pyramid_level(
    boxes: Float[Tensor, "regions 4"], canonical_size: float, finest: int, coarsest: int
) -> Int[Tensor, " regions"]:
    """Compute k = floor(4 + log2(sqrt(width * height) / canonical_size)), clamped to the existing levels.

    >>> pyramid_level(torch.tensor([[0.0, 0.0, 224.0, 224.0], [0.0, 0.0, 56.0, 56.0]]), 224.0, 2, 5)
    tensor([4, 2])
    """
    # The small number keeps a region of exactly the canonical size from falling one level (torchvision).
    level = torch.floor(CANONICAL_LEVEL + torch.log2(area(boxes).sqrt() / canonical_size) + 1e-6)
    return level.clamp(finest, coarsest).long()


def pool_regions(
    features: Sequence[Tensor], regions: Sequence[Float[Tensor, "_ 4"]], rule: Pooling
) -> Float[Tensor, "regions channels side side"]:
    """Pool the features of every region of every image, image by image, in the order given."""
    boxes = torch.cat(list(regions))
    images = torch.cat([torch.full_like(each[:, 0], index) for index, each in enumerate(regions)])
    levels = rule.levels_of(boxes)
    rois = torch.cat((images[:, None], boxes), dim=1)
    if rule.method == "pool":
        return roi_pool_levels(features, rois, levels, strides=rule.strides, side=rule.side)
    return roi_align_levels(
        features,
        rois,
        levels,
        strides=rule.strides,
        side=rule.side,
        sampling_ratio=rule.sampling_ratio,
        aligned=rule.aligned,
    )
