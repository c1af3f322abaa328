"""3x3 convolutions at a few positions only: the features around each of them, as rows for a matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding, linear

from faster_rcnn.kernels.conv3x3 import Padding


def neighbourhoods(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    positions: Int[Tensor, "images sampled"],
    padding: Padding,
) -> Float[Tensor, "images*sampled 9*channels"]:
    """What a 3x3 convolution that keeps the resolution reads at some positions of each image.

    A position counts through the levels, the rows of a level and its columns. The nine features around it follow each
    other by row and column; ``padding`` says what lies beyond the border. Bits are the same in every run.
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
    y = _read_around((positions - begins) // columns, rows, padding)[..., :, None]
    x = _read_around((positions - begins) % columns, columns, padding)[..., None, :]
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


def _read_around(
    at: Int[Tensor, "images sampled"], length: Int[Tensor, "images sampled"], padding: Padding
) -> Int[Tensor, "images sampled 3"]:
    """Along one axis: the place before, the one itself and the one after, as the border has it; -1 for nothing."""
    around = at[..., None] + torch.arange(-1, 2, device=at.device)
    last = length[..., None] - 1
    if padding == "zeros":
        return torch.where(around > last, -1, around)
    if padding == "circular":
        return around % length[..., None]
    if padding == "reflect":  # what cannot be reflected is repeated
        around = last - (last - around.abs()).abs()
    return around.clamp(min=0).minimum(last)
