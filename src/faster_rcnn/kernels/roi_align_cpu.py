"""RoI align on a CPU, as weighted sums of feature rows.

Bilinear sampling is linear in the features, and separable: every bin is a sum of ``(2 * sampling_ratio)^2`` features
with weights that depend on the region alone. torchvision's CPU kernel works out those weights again for every
channel, on one thread; here they are worked out once, and PyTorch's embedding bag adds up whole rows of channels on
all threads, forwards and backwards. It reads channels-last features as they lie, in float32 or bfloat16, adds in
float32, and gives the same bits in every run. ``benchmarks/roi_align.py`` measures both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import embedding_bag


def roi_align_by_gathering(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    regions: Float[Tensor, "regions 5"],
    levels: Int[Tensor, " regions"],
    *,
    strides: Sequence[int],
    side: int,
    sampling_ratio: int,
    aligned: bool = False,
) -> Float[Tensor, "regions channels side side"]:
    """The same as ``ops.roi_pool.roi_align``, of the level of ``features`` that each region reads, all at once.

    The maps of all levels become one table, which is a copy of some megabytes; it takes less time than to pool level
    by level, and then to put regions in their order again.
    """
    channels = features[0].shape[1]
    maps = [level.permute(0, 2, 3, 1) for level in features]  # (images, rows, columns, channels)
    table = torch.cat([each.reshape(-1, channels) for each in maps]) if len(maps) > 1 else maps[0].reshape(-1, channels)
    sizes = torch.tensor([(each.shape[2], each.shape[1]) for each in maps], device=table.device)[levels]  # (R, 2): x, y
    starts = torch.tensor([0, *(each.shape[:3].numel() for each in maps[:-1])], device=table.device).cumsum(dim=0)
    edges = regions[:, 1:] * regions.new_tensor([1 / stride for stride in strides])[levels, None]
    if aligned:
        edges = edges - 0.5
    shortest = -math.inf if aligned else 1.0
    places, shares = _samples(edges[:, :2], edges[:, 2:], sizes, side, sampling_ratio, shortest)
    columns, rows = sizes.int().unbind(1)
    first = starts.int()[levels] + regions[:, 0].int() * rows * columns
    begins = first[:, None, None] + places[:, 1] * columns[:, None, None]
    cells = _for_each_bin(begins, places[:, 0], torch.add)
    weights = _for_each_bin(shares[:, 1], shares[:, 0], torch.mul).to(table.dtype)
    pooled: Tensor = _WeightedRows.apply(table, cells, weights)
    return pooled.reshape(-1, side, side, channels).permute(0, 3, 1, 2)


def _samples(
    low: Float[Tensor, "regions 2"],
    high: Float[Tensor, "regions 2"],
    size: Int[Tensor, "regions 2"],
    side: int,
    ratio: int,
    shortest: float,
) -> tuple[Int[Tensor, "regions 2 side terms"], Float[Tensor, "regions 2 side terms"]]:
    """Along both axes, in cells: the features that each bin reads, and their weights, which sum to 1 inside the map.

    Samples lie evenly inside a bin. Each reads the two features around it; beyond the outermost feature it reads that
    one, and more than one cell outside the map it reads nothing. Regions are at least ``shortest`` cells long.
    """
    bins = ((high - low).clamp(min=shortest) / side)[..., None]
    place = torch.arange(side * ratio, device=low.device)
    # In torchvision's order of operations, so that samples lie where its own do to the last bit.
    at = low[..., None] + place // ratio * bins + (place % ratio + 0.5) * bins / ratio
    last = size[..., None] - 1
    inside = (at >= -1) & (at <= last + 1)
    at = at.clamp(min=0).minimum(last)
    before = at.floor()
    share = at - before
    after = (before + 1).minimum(last)
    cells = torch.stack((before, after), dim=-1).int()
    weights = torch.stack((1 - share, share), dim=-1) * (inside / ratio)[..., None]
    shape = (len(low), 2, side, 2 * ratio)
    return cells.reshape(shape), weights.reshape(shape)


def _for_each_bin(
    of_rows: Shaped[Tensor, "regions side terms"],
    of_columns: Shaped[Tensor, "regions side terms"],
    join: Callable[[Tensor, Tensor], Tensor],
) -> Shaped[Tensor, "bins terms_of_both"]:
    """Every term of a row of bins with every term of a column of bins, bin by bin.

    All terms of a bin are laid side by side before they are joined: many numbers at a time, which takes a third of
    the time.
    """
    terms = of_rows.shape[2]
    rows = of_rows.repeat_interleave(terms, dim=2)[:, :, None]
    columns = of_columns.repeat(1, 1, terms)[:, None]
    return join(rows, columns).reshape(-1, terms * terms)


class _WeightedRows(torch.autograd.Function):
    """``out[i] = sum_t weights[i, t] * table[cells[i, t]]``; both directions are embedding bags."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, cells: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(cells, weights)
        ctx.rows = len(table)
        return embedding_bag(cells, table, mode="sum", per_sample_weights=weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        cells, weights = ctx.saved_tensors
        # The transposed sum: for each row of the table, the bins that read it. A stable sort fixes their order.
        by_cell, order = cells.flatten().sort(stable=True)
        starts = torch.searchsorted(by_cell, torch.arange(ctx.rows, dtype=by_cell.dtype, device=by_cell.device))
        bins = order // cells.shape[1]
        gradient = embedding_bag(
            bins, gradients[0].contiguous(), starts, mode="sum", per_sample_weights=weights.flatten()[order]
        )
        return gradient, None, None
