"""Large images in overlapping square tiles, so that small objects keep their pixels when the detector resizes.

A tile is a part of the original image. The detector processes every tile like an image of its own, and the whole image
once, for objects that are larger than a tile. The detections of all parts are merged in one step (``merging.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import NamedTuple

from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.errors import OptionError
from faster_rcnn.images import size_of
from faster_rcnn.inference.limits import refuse_non_number
from faster_rcnn.structures import Detections, ImageSize

DEFAULT_OVERLAP = 0.2

MAX_PIXELS = 10**9
"""The largest number of pixels of an image that is detected in tiles; larger images are refused.

``data.max_pixels``, 0.18 thousand million, guards against files that claim a size which nobody expects. A caller who
uses tiles expects a large image. An image of this many pixels takes 3 GB; the limit guards against absurd claims only.
"""


class Tile(NamedTuple):
    """A part of an image, in integer pixels of the image; column ``x2`` and row ``y2`` are the first outside."""

    x1: int
    y1: int
    x2: int
    y2: int

    def of(self, pixels: UInt8[Tensor, "3 height width"]) -> UInt8[Tensor, "3 tile_height tile_width"]:
        """The pixels of the tile, a view of the image's."""
        return pixels[:, self.y1 : self.y2, self.x1 : self.x2]


@dataclass(frozen=True, slots=True)
class Tiling:
    """The side and the overlap of tiles; ``tiling_of`` makes a checked one."""

    side: int
    """Side of a tile in pixels of the original image."""
    overlap: float
    """Overlap of neighbouring tiles as a share of the side, 0 to below 1."""

    def fits(self, size: ImageSize) -> bool:
        """Whether an image is no larger than a tile, so that it is processed as a whole only."""
        return max(size) <= self.side

    def largest_part(self, size: ImageSize) -> ImageSize:
        """Size of the largest tile of an image."""
        return ImageSize(min(size.height, self.side), min(size.width, self.side))

    def tiles(self, size: ImageSize) -> Iterator[Tile]:
        """All tiles of an image, row by row; they lie inside it and cover it.

        >>> list(Tiling(side=10, overlap=0.2).tiles(ImageSize(height=10, width=20)))
        [Tile(x1=0, y1=0, x2=10, y2=10), Tile(x1=8, y1=0, x2=18, y2=10), Tile(x1=10, y1=0, x2=20, y2=10)]
        """
        for y, x in product(self.starts(size.height), self.starts(size.width)):
            yield Tile(x, y, min(x + self.side, size.width), min(y + self.side, size.height))

    def starts(self, length: int) -> list[int]:
        """First pixels of the tiles along a side of the image; the last tile is moved inwards to have its full size.

        >>> Tiling(side=800, overlap=0.2).starts(2000)  # 160 pixels are shared: a tile every 640
        [0, 640, 1200]
        """
        last = max(0, length - self.side)
        step = max(1, self.side - round(self.overlap * self.side))
        return [*range(0, last, step), last]


def detect_tiles(
    pixels: UInt8[Tensor, "3 height width"],
    tiling: Tiling,
    detect: Callable[[Sequence[Tensor]], Sequence[Detections]],
    batch: int,
) -> Iterator[tuple[Tile, Detections]]:
    """Detect every tile of an image, ``batch`` tiles at a time; the boxes are in pixels of the image."""
    tiles = tiling.tiles(size_of(pixels))
    while group := list(islice(tiles, batch)):
        for tile, found in zip(group, detect([tile.of(pixels) for tile in group]), strict=True):
            boxes = found.boxes + found.boxes.new_tensor([tile.x1, tile.y1, tile.x1, tile.y1])
            yield tile, replace(found, boxes=boxes)


def tiling_of(tile: int | None, overlap: float | None) -> Tiling | None:
    """Check the tiling that a user names; ``None`` without a tile. The overlap is a fifth where it is not given.

    Raises:
        OptionError: a number makes no sense, or there is an overlap without a tile (E125).
    """
    if overlap is not None:
        refuse_non_number("overlap", overlap)
    if tile is None and overlap is not None:
        raise OptionError(
            f"overlap {overlap:g} is for tiles, and no tile is given; give their side in pixels: --tile 800",
            code="E125",
        )
    if tile is None:
        return None
    refuse_non_number("tile", tile)
    if not tile >= 1 or tile % 1:
        raise OptionError(f"tile {tile:g}: the side of a tile is an integer number of pixels, such as 800", code="E125")
    overlap = DEFAULT_OVERLAP if overlap is None else overlap
    if not 0 <= overlap < 1:
        hint = f"; {overlap:g} % is {overlap / 100:g}" if 1 < overlap < 100 else ""
        raise OptionError(f"overlap {overlap:g}: it is a share of the tile, 0 or more and below 1{hint}", code="E125")
    return Tiling(int(tile), overlap)
