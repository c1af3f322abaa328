"""Section 3.1.1: anchors, the k reference boxes at every position of a feature map.

Their centres lie at multiples of the level's stride, beginning at the image's upper left corner (0, 0) or, with an
offset of 0.5, in the middle of the first cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, device

from faster_rcnn.structures import Anchors, ImageSize


def base_anchors(
    sizes: Sequence[float], heights_over_widths: Sequence[float], rounding: bool
) -> Float[Tensor, "shapes 4"]:
    """The anchors of one position, centred at (0, 0); ordered by ratio, then size.

    Each has the area size^2 and the given ratio: width = size / sqrt(ratio), height = size * sqrt(ratio).

    >>> base_anchors([32], [1.0, 2.0], rounding=True)
    tensor([[-16., -16.,  16.,  16.],
            [-11., -23.,  11.,  23.]])
    """
    # On the CPU even where a detector is built without values: a model file does not hold anchors.
    root = torch.tensor(heights_over_widths, dtype=torch.float32, device="cpu").sqrt()
    side = torch.tensor(sizes, dtype=torch.float32, device="cpu")
    heights = (root[:, None] * side[None, :]).flatten()
    widths = ((1 / root)[:, None] * side[None, :]).flatten()
    anchors = torch.stack((-widths, -heights, widths, heights), dim=1) / 2
    return anchors.round() if rounding else anchors


def grid_of_anchors(
    base: Float[Tensor, "shapes 4"], grid: ImageSize, stride: tuple[float, float], offset: float = 0.0
) -> Float[Tensor, "anchors 4"]:
    """Every base anchor at every position of a grid; ordered by row, column, shape.

    ``stride`` is (down, right); ``offset`` is where in its cell a centre lies, in strides.
    """
    rows = (torch.arange(grid.height, dtype=torch.float32, device=base.device) + offset) * stride[0]
    columns = (torch.arange(grid.width, dtype=torch.float32, device=base.device) + offset) * stride[1]
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centres = torch.stack((x, y, x, y), dim=-1).reshape(-1, 1, 4)
    return (centres + base[None]).reshape(-1, 4)


def anchors_of_levels(
    base_of_levels: Sequence[Float[Tensor, "_ 4"]],
    grids: Sequence[ImageSize],
    strides: Sequence[tuple[float, float]],
    on: device,
    offset: float = 0.0,
) -> Anchors:
    """All anchors of an image, finest level first."""
    boxes = [
        grid_of_anchors(base.to(on), grid, stride, offset)
        for base, grid, stride in zip(base_of_levels, grids, strides, strict=True)
    ]
    return Anchors(torch.cat(boxes), tuple(len(each) for each in boxes))


def fitted_strides(padded: ImageSize, grids: Sequence[ImageSize]) -> list[tuple[float, float]]:
    """Strides (down, right) as torchvision takes them: whole pixels of the padded image per cell.

    They differ from the true stride where a level was rounded up: 416 pixels in 7 cells of stride 64 give 59.

    >>> fitted_strides(ImageSize(416, 576), [ImageSize(7, 9)])
    [(59, 64)]
    """
    return [(padded.height // grid.height, padded.width // grid.width) for grid in grids]
