"""RoIAlign on a CPU, as weighted sums of feature rows.

Bilinear sampling is linear in the features, and separable: every bin is a sum of ``(2 * sampling_ratio)^2`` features
with weights that depend on the region alone. torchvision's CPU kernel computes those weights again for every channel,
on one thread. Here they are computed once, and PyTorch's embedding bag adds up whole rows of channels on all threads,
forwards and backwards. It reads channels-last features without a copy, in float32 or bfloat16, accumulates in float32,
and gives the same bits in every run. ``benchmarks/roi_align.py`` measures both.

A 3x3 map with cells numbered by row and column, one region, one bin, one sample, at x = 0.5 and y = 1.25::

         x: 0   1   2                columns 0 and 1, weights 0.5  and 0.5
    y: 0    0   1   2                rows    1 and 2, weights 0.75 and 0.25
       1    3   4   5
       2    6   7   8                bin = 0.375 f3 + 0.375 f4 + 0.125 f6 + 0.125 f7

``_axis_terms`` finds columns and rows with their weights, ``_for_each_bin`` multiplies them out to cells 3, 4, 6, 7,
and ``_WeightedRows`` adds up. Shapes in comments: R regions, S ``side``, T = 2 * ``sampling_ratio`` terms of a bin
along one axis, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import embedding_bag

from faster_rcnn.ops import roi_align as plain


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
    """Do what ``ops.roi_align.roi_align_levels`` does, in the way that is fast for these features."""
    align = gather_roi_align if gather_pays(features[0], sampling_ratio) else plain.roi_align_levels
    return align(features, regions, levels, strides=strides, side=side, sampling_ratio=sampling_ratio, aligned=aligned)


def gather_pays(feature: Tensor, sampling_ratio: int) -> bool:
    """Whether to gather: on a CPU, in training and for channels-last features.

    Inference on contiguous float32 features stays with torchvision's kernel: the order of its additions decides which
    of two nearly equal boxes survives NMS, and a user who asks for exact results gets torchvision's to the last bit.
    Adaptive sampling (ratio 0) has no fixed number of terms, and stays there, too.
    """
    exact = feature.is_contiguous() and feature.dtype == torch.float32 and not torch.is_grad_enabled()
    return feature.device.type == "cpu" and sampling_ratio > 0 and not exact


def gather_roi_align(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    regions: Float[Tensor, "regions 5"],
    levels: Int[Tensor, " regions"],
    *,
    strides: Sequence[int],
    side: int,
    sampling_ratio: int,
    aligned: bool = False,
) -> Float[Tensor, "regions channels side side"]:
    """Do what ``ops.roi_align.roi_align_levels`` does, by gathering, for a ``sampling_ratio`` above 0.

    The maps of all levels become one table, which is a copy of some megabytes. That takes less time than pooling level
    by level and putting the regions back into their order.
    """
    channels = features[0].shape[1]
    maps = [level.permute(0, 2, 3, 1) for level in features]  # each (images, rows, columns, C)
    table = torch.cat([each.reshape(-1, channels) for each in maps]) if len(maps) > 1 else maps[0].reshape(-1, channels)
    # (cells of all levels and images, C)
    sizes = torch.tensor([(each.shape[2], each.shape[1]) for each in maps], device=table.device)[levels]  # (R, 2): x, y
    starts = torch.tensor([0, *(each.shape[:3].numel() for each in maps[:-1])], device=table.device).cumsum(dim=0)
    # (levels,): first cell of each level
    edges = regions[:, 1:] * regions.new_tensor([1 / stride for stride in strides])[levels, None]  # (R, 4), in cells
    if aligned:
        edges = edges - 0.5
    shortest = -math.inf if aligned else 1.0
    places, shares = _axis_terms(edges[:, :2], edges[:, 2:], sizes, side, sampling_ratio, shortest)  # (R, 2, S, T) both
    columns, rows = sizes.int().unbind(1)  # (R,) each
    first = starts.int()[levels] + regions[:, 0].int() * rows * columns  # (R,): first cell of its level and image
    begins = first[:, None, None] + places[:, 1] * columns[:, None, None]  # (R, S, T): first cell of each row
    cells = _for_each_bin(begins, places[:, 0], torch.add)  # (R * S * S, T * T)
    weights = _for_each_bin(shares[:, 1], shares[:, 0], torch.mul).to(table.dtype)  # (R * S * S, T * T)
    pooled: Tensor = _WeightedRows.apply(table, cells, weights)  # (R * S * S, C)
    return pooled.reshape(-1, side, side, channels).permute(0, 3, 1, 2)


def _axis_terms(
    low: Float[Tensor, "regions 2"],
    high: Float[Tensor, "regions 2"],
    size: Int[Tensor, "regions 2"],
    side: int,
    ratio: int,
    shortest: float,
) -> tuple[Int[Tensor, "regions 2 side terms"], Float[Tensor, "regions 2 side terms"]]:
    """Along x and y: the indices of the features that each bin reads, and their weights.

    Edges are in cells. Samples lie evenly inside a bin. Each reads the two features around it; beyond the outermost
    feature it reads that one, and more than one cell outside the map it reads nothing. The weights of a bin sum to 1
    inside the map. Regions are at least ``shortest`` cells long.

    >>> low, high, size = torch.tensor([[0.0, 0.5]]), torch.tensor([[1.0, 2.0]]), torch.tensor([[3, 3]])
    >>> cells, weights = _axis_terms(low, high, size, side=1, ratio=1, shortest=1.0)
    >>> cells.tolist(), weights.tolist()
    ([[[[0, 1]], [[1, 2]]]], [[[[0.5, 0.5]], [[0.75, 0.25]]]])
    """
    bins = ((high - low).clamp(min=shortest) / side)[..., None]  # (R, 2, 1): length of a bin
    place = torch.arange(side * ratio, device=low.device)  # (S * ratio,): samples along one axis
    # In torchvision's order of operations, so that samples lie at the same places to the last bit.
    at = low[..., None] + place // ratio * bins + (place % ratio + 0.5) * bins / ratio  # (R, 2, S * ratio)
    last = size[..., None] - 1  # (R, 2, 1)
    inside = (at >= -1) & (at <= last + 1)  # (R, 2, S * ratio)
    at = at.clamp(min=0).minimum(last)
    before = at.floor()
    share = at - before  # of the feature after the sample
    after = (before + 1).minimum(last)
    cells = torch.stack((before, after), dim=-1).int()  # (R, 2, S * ratio, 2)
    weights = torch.stack((1 - share, share), dim=-1) * (inside / ratio)[..., None]  # (R, 2, S * ratio, 2)
    shape = (len(low), 2, side, 2 * ratio)
    return cells.reshape(shape), weights.reshape(shape)  # (R, 2, S, T) both


def _for_each_bin(
    of_rows: Shaped[Tensor, "regions side terms"],
    of_columns: Shaped[Tensor, "regions side terms"],
    join: Callable[[Tensor, Tensor], Tensor],
) -> Shaped[Tensor, "bins terms_of_both"]:
    """Join every term of a row of bins with every term of a column of bins, bin by bin.

    All terms of a bin are repeated side by side before they are joined: many numbers are joined at a time, which takes
    a third of the time of a broadcast over two short axes.
    """
    terms = of_rows.shape[2]
    rows = of_rows.repeat_interleave(terms, dim=2)[:, :, None]  # (R, S, 1, T * T): a a b b
    columns = of_columns.repeat(1, 1, terms)[:, None]  # (R, 1, S, T * T): c d c d
    return join(rows, columns).reshape(-1, terms * terms)  # (R * S * S, T * T)


class _WeightedRows(torch.autograd.Function):
    """``out[i] = sum_t weights[i, t] * table[cells[i, t]]``; both directions are embedding bags."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, cells: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(cells, weights)
        ctx.rows = len(table)
        return embedding_bag(cells, table, mode="sum", per_sample_weights=weights)  # (R * S * S, C)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cells, weights = ctx.saved_tensors
        # The transposed sum: for each row of the table, the bins that read it. A stable sort fixes their order.
        by_cell, order = cells.flatten().sort(stable=True)  # (R * S * S * T * T,) both
        starts = torch.searchsorted(by_cell, torch.arange(ctx.rows, dtype=by_cell.dtype, device=by_cell.device))
        # (cells of all levels and images,): where the readers of each cell begin
        bins = order // cells.shape[1]
        gradient = embedding_bag(
            bins, gradients[0].contiguous(), starts, mode="sum", per_sample_weights=weights.flatten()[order]
        )  # (cells of all levels and images, C)
        return gradient, None, None
