"""Section 3.1.1: anchors, the k reference boxes at every position of a feature map.

Their centres lie at multiples of the level's stride, beginning at the image's upper left corner (0, 0) or, with an
offset of 0.5, in the middle of the first cell.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, device

from faster_rcnn.structures import Anchors, ImageBatch, ImageSize


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

    ``stride`` is (down, right); ``offset`` places a centre in its cell, in strides.
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
        grid_of_anchors(base.to(on, non_blocking=True), grid, stride, offset)
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


class AnchorGenerator:
    """Makes the anchors of an image, and keeps those of the last size; anchors are never changed."""

    def __init__(
        self,
        sizes: Sequence[Sequence[float]],
        heights_over_widths: Sequence[Sequence[float]],
        strides: Sequence[int],
        *,
        rounding: bool = False,
        offset: float = 0.0,
        fitted: bool = False,
    ) -> None:
        """``sizes`` and ``heights_over_widths`` are those of each level; all levels have equally many shapes.

        The finest levels may have no size, and then no anchor. ``fitted`` distances of anchors are those of
        ``fitted_strides`` instead of ``strides``.
        """
        self.base = [
            base_anchors(of_level, ratios, rounding)
            for of_level, ratios in zip(sizes, heights_over_widths, strict=True)
        ]
        self.strides = tuple(strides)
        self.offset = offset
        self.fitted = fitted
        self._last: tuple[object, Anchors] | None = None
        """Grids, size and device that the last anchors are for, and these anchors."""

    @property
    def per_position(self) -> int:
        """k: the number of anchors at every position of the levels that have anchors."""
        return len(self.base[-1])

    @property
    def skipped(self) -> int:
        """The number of the finest levels, which have no anchors."""
        return sum(len(base) == 0 for base in self.base)

    def positions(self, anchors: Anchors) -> int:
        """The number of positions of some anchors of this generator, over all levels."""
        return sum(anchors.per_level) // self.per_position

    def strides_of(self, padded: ImageSize, grids: Sequence[ImageSize]) -> list[tuple[float, float]]:
        """Distances of the anchors of each level, down and to the right, in padded pixels."""
        if self.fitted:
            return fitted_strides(padded, grids)
        return [(float(stride), float(stride)) for stride in self.strides]

    def __call__(self, features: Sequence[Tensor], images: ImageBatch) -> Anchors:
        """The anchors of every image of a batch with these feature maps, in the frame of the padded pixels."""
        grids = tuple(ImageSize(*feature.shape[-2:]) for feature in features)
        size, on = ImageSize(*images.pixels.shape[-2:]), images.pixels.device
        last = self._last  # read once: another thread may replace it
        if last is None or last[0] != (grids, size, on):
            strides = self.strides_of(size, grids)
            # A tensor of inference mode could not be used in training.
            with torch.inference_mode(False):
                last = (grids, size, on), anchors_of_levels(self.base, grids, strides, on, self.offset)
            self._last = last
        return last[1]
