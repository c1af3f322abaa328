"""Crop features under regions into a fixed grid: RoI align (Mask R-CNN, section 3) and RoI pool (Fast R-CNN, 2.1).

Regions are rows (image, x1, y1, x2, y2) in pixels of the resized image. A feature at row r, column c of a map of
stride s speaks for the pixel (s * c, s * r): torchvision's convention. ``aligned`` is Detectron2's, half a feature on.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torchvision.ops import roi_align as _roi_align
from torchvision.ops import roi_pool as _roi_pool


def roi_align(
    features: Float[Tensor, "images channels rows columns"],
    regions: Float[Tensor, "regions 5"],
    *,
    stride: int,
    side: int,
    sampling_ratio: int,
    aligned: bool = False,
) -> Float[Tensor, "regions channels side side"]:
    """Mean of ``sampling_ratio``^2 bilinear samples in each of ``side``^2 bins, in the type of the features.

    ``aligned`` shifts regions by half a feature up and left, to where a feature's centre is, and lets them be shorter
    than a feature (Detectron2's ROIAlignV2). A ``sampling_ratio`` of 0 adapts to each region: as many samples along a
    bin as it is features long, rounded up.
    """
    pooled: Tensor = _roi_align(features.float(), regions, side, 1 / stride, sampling_ratio, aligned=aligned)
    return pooled.to(features.dtype)


def roi_pool(
    features: Float[Tensor, "images channels rows columns"],
    regions: Float[Tensor, "regions 5"],
    *,
    stride: int,
    side: int,
) -> Float[Tensor, "regions channels side side"]:
    """Maximum of each of ``side``^2 bins, whose borders are rounded to whole features."""
    pooled: Tensor = _roi_pool(features.float(), regions, side, 1 / stride)
    return pooled.to(features.dtype)
