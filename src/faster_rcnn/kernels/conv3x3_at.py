"""3x3 convolutions at a few positions only: the features around each of them, as rows for a matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding, linear


def neighbourhoods(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    positions: Int[Tensor, "images sampled"],
) -> Float[Tensor, "images*sampled 9*channels"]:
    """Gather the nine features that a 3x3 convolution with a border of zeros reads at some positions of each image.

    A position counts through the levels, the rows of a level and its columns. The nine features around it follow each
    other by row and column. Bits are the same in every run.
    """
    channels = features[0].shape[1]
    maps = [level.permute(0, 2, 3, 1) for level in features]  # (images, rows, columns, channels)
    # The last row of the table is what lies beyond a border of zeros, and takes no gradient.
    table = torch.cat([*(each.reshape(-1, channels) for each in maps), maps[0].new_zeros(1, channels)])
    nothing = len(table) - 1
    grids = torch.tensor([each.shape[1:3] for each in maps], device=table.device)
    areas = grids.prod(dim=1)
    ends = areas.cumsum(dim=0)
    levels = torch.searchsorted(ends, positions, right=True)
    rows, columns = grids[levels].unbind(-1)
    begins = (ends - areas)[levels]
    y = _around((positions - begins) // columns, rows)[..., :, None]
    x = _around((positions - begins) % columns, columns)[..., None, :]
    image = torch.arange(len(positions), device=table.device)[:, None]
    # The table is ordered by level first, then by image.
    starts = begins * len(positions) + image * areas[levels]
    cells = starts[..., None, None] + y * columns[..., None, None] + x
    cells = torch.where((y < 0) | (x < 0), nothing, cells)
    return embedding(cells, table, padding_idx=nothing).reshape(-1, 9 * channels)


def conv3x3_of(
    rows: Float[Tensor, "positions features"], weight: Float[Tensor, "outputs channels 3 3"], bias: Tensor | None
) -> Float[Tensor, "positions outputs 1 1"]:
    """What a 3x3 convolution makes of ``neighbourhoods``: one position each, as maps of one feature."""
    return linear(rows, weight.permute(0, 2, 3, 1).flatten(1), bias)[..., None, None]


def _around(
    at: Int[Tensor, "images sampled"], length: Int[Tensor, "images sampled"]
) -> Int[Tensor, "images sampled 3"]:
    """Indices i - 1, i, i + 1 along one axis of the given length; -1 beyond the border.

    >>> _around(torch.tensor([[0, 3]]), torch.tensor([[4, 4]]))
    tensor([[[-1,  0,  1],
             [ 2,  3, -1]]])
    """
    around = at[..., None] + torch.arange(-1, 2, device=at.device)  # (B, S, 3)
    return torch.where(around >= length[..., None], -1, around)
