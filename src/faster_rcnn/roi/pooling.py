"""Which pyramid level a region reads (FPN, Eq. 1), and the reading of it (RoI align or RoI pool)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.kernels.roi_align_cpu import roi_align_by_gathering
from faster_rcnn.ops import roi_align as ops
from faster_rcnn.ops.boxes import area

CANONICAL_LEVEL = 4
"""The level of stride 2^4 = 16, the one that Fast R-CNN reads (FPN, section 4.2)."""


@dataclass(frozen=True, slots=True)
class Pooling:
    """Numbers of ``RoiConfig``, and the strides of the levels that regions may read, finest first."""

    method: Literal["align", "aligned-align", "pool"]
    side: int
    sampling_ratio: int
    canonical_size: float
    strides: tuple[int, ...]

    @property
    def aligned(self) -> bool:
        """Whether regions are shifted by half a feature, to where a feature's centre is."""
        return self.method == "aligned-align"


def pyramid_level(
    boxes: Float[Tensor, "regions 4"], canonical_size: float, finest: int, coarsest: int
) -> Int[Tensor, " regions"]:
    """k = floor(4 + log2(sqrt(width * height) / canonical_size)), kept within the levels that there are.

    >>> pyramid_level(torch.tensor([[0.0, 0.0, 224.0, 224.0], [0.0, 0.0, 56.0, 56.0]]), 224.0, 2, 5)
    tensor([4, 2])
    """
    # The small number keeps a region of exactly the canonical size from falling one level (torchvision).
    level = torch.floor(CANONICAL_LEVEL + torch.log2(area(boxes).sqrt() / canonical_size) + 1e-6)
    return level.clamp(finest, coarsest).long()


def pool_regions(
    features: Sequence[Tensor], regions: Sequence[Float[Tensor, "_ 4"]], rule: Pooling
) -> Float[Tensor, "regions channels side side"]:
    """Features of every region of every image, image by image, in the order given.

    On a CPU, training and features that lie channels last go the fast way of ``roi_gather``. Inference on features in
    torchvision's order stays with its kernel, in float32: the order of its additions decides which of two nearly equal
    boxes survives, and that order is there for whoever wants the answers of torchvision to the last bit.
    """
    finest = round(math.log2(rule.strides[0]))
    coarsest = round(math.log2(rule.strides[-1]))
    boxes = torch.cat(list(regions))
    images = torch.cat([torch.full_like(each[:, 0], index) for index, each in enumerate(regions)])
    levels = pyramid_level(boxes, rule.canonical_size, finest, coarsest) - finest
    rois = torch.cat((images[:, None], boxes), dim=1)
    if _gathers(features[0], rule):
        return roi_align_by_gathering(
            features,
            rois,
            levels,
            strides=rule.strides,
            side=rule.side,
            sampling_ratio=rule.sampling_ratio,
            aligned=rule.aligned,
        )
    pooled, places = [], []
    for index, (feature, stride) in enumerate(zip(features, rule.strides, strict=True)):
        chosen = torch.nonzero(levels == index)[:, 0]
        pooled.append(_pool(feature, rois[chosen], stride, rule))
        places.append(chosen)
    return _in_order(pooled, places)


def _gathers(feature: Tensor, rule: Pooling) -> bool:
    exact = feature.is_contiguous() and feature.dtype == torch.float32 and not torch.is_grad_enabled()
    return feature.device.type == "cpu" and rule.method != "pool" and rule.sampling_ratio > 0 and not exact


def _in_order(parts: Sequence[Float[Tensor, "_ channels side side"]], places: Sequence[Int[Tensor, " _"]]) -> Tensor:
    """The rows of all parts, each at its place, in the memory format of the parts."""
    plain = all(each.is_contiguous() for each in parts)
    whole = torch.empty(
        (sum(len(each) for each in parts), *parts[0].shape[1:]),
        dtype=parts[0].dtype,
        device=parts[0].device,
        memory_format=torch.contiguous_format if plain else torch.channels_last,
    )
    for part, place in zip(parts, places, strict=True):
        whole.index_copy_(0, place, part)
    return whole


def _pool(feature: Tensor, rois: Tensor, stride: int, rule: Pooling) -> Tensor:
    if rule.method == "pool":
        return ops.roi_pool(feature, rois, stride=stride, side=rule.side)
    return ops.roi_align(
        feature, rois, stride=stride, side=rule.side, sampling_ratio=rule.sampling_ratio, aligned=rule.aligned
    )
