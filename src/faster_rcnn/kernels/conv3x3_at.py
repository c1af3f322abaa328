"""3x3 convolutions at a few positions only: the features around each of them, as rows for a matrix product.

A position counts through the levels, the rows of a level and its columns. ``neighbourhoods`` gathers its nine features
from a table of the features of all levels and images. Two levels of one image, of 3 x 3 and 1 x 1, by number of the row
in the table::

    level 0   0 1 2        position 4 reads   0 1 2   3 4 5   6 7 8
              3 4 5        position 0 reads   . . .   . 0 1   . 3 4
              6 7 8
    level 1   9            position 9 reads   . . .   . 9 .   . . .

A dot lies beyond the border: the last row of the table, which is zero and gets no gradient. Shapes: B images,
S sampled positions, L levels, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding, linear

from faster_rcnn.ops.constants import constant


def conv3x3_at(
    features: Sequence[Float[Tensor, "images channels _ _"]],
    positions: Int[Tensor, "images sampled"],
    weight: Float[Tensor, "outputs channels 3 3"],
    bias: Float[Tensor, " outputs"] | None,
) -> Float[Tensor, "images*sampled outputs 1 1"]:
    """Do what a 3x3 convolution with zero padding does with all levels, at some positions of each image only.

    Rows are ordered by image, then by position. Each is a map of one feature, for a 1x1 convolution to follow.
    """
    rows = neighbourhoods(features, positions)  # (B * S, 9 * C)
    return linear(rows, weight.permute(0, 2, 3, 1).flatten(1), bias)[..., None, None]


def neighbourhoods(
    features: Sequence[Float[Tensor, "images channels _ _"]], positions: Int[Tensor, "images sampled"]
) -> Float[Tensor, "images*sampled 9*channels"]:
    """Gather the nine features that a 3x3 convolution with zero padding reads at some positions of each image.

    The nine features follow each other by row and column. The bits of the gradient are the same in every run.
    """
    channels = features[0].shape[1]
    maps = [level.permute(0, 2, 3, 1) for level in features]  # each (B, rows, columns, C)
    table = torch.cat([*(each.reshape(-1, channels) for each in maps), maps[0].new_zeros(1, channels)])
    beyond = len(table) - 1  # the row of zeros
    grids = constant([each.shape[1:3] for each in maps], table.device)  # (L, 2): rows, columns
    areas = grids.prod(dim=1)  # (L,)
    ends = areas.cumsum(dim=0)  # (L,): positions of this level and of those before
    levels = torch.searchsorted(ends, positions, right=True)  # (B, S)
    rows, columns = grids[levels].unbind(-1)  # (B, S) each: size of the position's level
    begins = (ends - areas)[levels]  # (B, S): first position of its level
    y = _around((positions - begins) // columns, rows)[..., :, None]  # (B, S, 3, 1)
    x = _around((positions - begins) % columns, columns)[..., None, :]  # (B, S, 1, 3)
    image = torch.arange(len(positions), device=table.device)[:, None]  # (B, 1)
    # The table is ordered by level first, then by image.
    starts = begins * len(positions) + image * areas[levels]  # (B, S): first row of its level and image
    cells = starts[..., None, None] + y * columns[..., None, None] + x  # (B, S, 3, 3)
    cells = torch.where((y < 0) | (x < 0), beyond, cells)
    return embedding(cells, table, padding_idx=beyond).reshape(-1, 9 * channels)


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
