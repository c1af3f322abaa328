"""Crop features under regions into a fixed grid: RoIAlign (Mask R-CNN, section 3) and RoI pooling (Fast R-CNN, 2.1).

Regions are rows (image, x1, y1, x2, y2) in pixels of the resized image. The feature at row r and column c of a map of
stride s lies at the pixel (s * c, s * r), as in torchvision. ``aligned`` follows Detectron2: a feature lies at the
centre of its cell, half a stride further right and down.

``roi_align`` and ``roi_pool`` read one map; ``roi_align_levels`` and ``roi_pool_levels`` read the levels of a pyramid,
each region its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
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
    """Average ``sampling_ratio``^2 bilinear samples in each of ``side``^2 bins, in the type of the features.

    ``aligned`` shifts regions by half a feature up and left, to where a feature's centre is, and lets them be shorter
    than a feature (Detectron2's ROIAlignV2). A ``sampling_ratio`` of 0 adapts to each region: a bin has as many
    samples along each side as the side is features long, rounded up.
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
    """Take the maximum of each of ``side``^2 bins, whose borders are rounded to whole features."""
    pooled: Tensor = _roi_pool(features.float(), regions, side, 1 / stride)
    return pooled.to(features.dtype)


def roi_align_levels(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    regions: Float[Tensor, "regions 5"],
    levels: Int[Tensor, " regions"],
    *,
    strides: Sequence[int],
    side: int,
    sampling_ratio: int,
    aligned: bool = False,
) -> Float[Tensor, "regions channels side side"]:
    """``roi_align`` of each region on its level of a pyramid; ``levels`` are indices of ``features`` and ``strides``.

    Rows keep the order of ``regions``.
    """

    def align(feature: Tensor, own: Tensor, stride: int) -> Tensor:
        return roi_align(feature, own, stride=stride, side=side, sampling_ratio=sampling_ratio, aligned=aligned)

    return _pool_levels(align, features, regions, levels, strides)


def roi_pool_levels(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    regions: Float[Tensor, "regions 5"],
    levels: Int[Tensor, " regions"],
    *,
    strides: Sequence[int],
    side: int,
) -> Float[Tensor, "regions channels side side"]:
    """``roi_pool`` of each region on its level of a pyramid; ``levels`` are indices of ``features`` and ``strides``.

    Rows keep the order of ``regions``.
    """

    def pool(feature: Tensor, own: Tensor, stride: int) -> Tensor:
        return roi_pool(feature, own, stride=stride, side=side)

    return _pool_levels(pool, features, regions, levels, strides)


def _pool_levels(
    pool: Callable[[Tensor, Tensor, int], Tensor],
    features: Sequence[Tensor],
    regions: Tensor,
    levels: Tensor,
    strides: Sequence[int],
) -> Tensor:
    """Pool level by level, and put each result back into the row of its region."""
    # One question for all levels, since a GPU waits at each: where the regions of a level begin in their order.
    order = levels.argsort(stable=True)  # (regions,)
    borders = torch.searchsorted(levels[order], torch.arange(len(features) + 1, device=levels.device)).tolist()
    rows = [order[first:end] for first, end in pairwise(borders)]  # (regions of this level,) each
    pooled = [
        pool(feature, regions[own], stride) for feature, own, stride in zip(features, rows, strides, strict=True)
    ]  # (regions of this level, channels, side, side) each
    # The result keeps the memory format of its parts.
    plain = all(each.is_contiguous() for each in pooled)
    result = torch.empty(
        (len(regions), *pooled[0].shape[1:]),
        dtype=pooled[0].dtype,
        device=pooled[0].device,
        memory_format=torch.contiguous_format if plain else torch.channels_last,
    )
    for part, row in zip(pooled, rows, strict=True):
        result.index_copy_(0, row, part)
    return result
