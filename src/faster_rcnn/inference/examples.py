"""Images of the training data's kind, on which activation ranges are measured and exported files are compared."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.data.records import evenly_spread
from faster_rcnn.errors import DatasetError, ImageError
from faster_rcnn.inference.inputs import to_pixels

_LOG = logging.getLogger(__name__)


def read_examples(paths: Sequence[Path], count: int, max_pixels: int) -> Iterator[UInt8[Tensor, "3 _ _"]]:
    """Decode up to ``count`` images that are evenly spread over ``paths``, one when the caller takes it.

    An image that cannot be read is logged, and another one takes its place where there is one.

    Raises:
        DatasetError: no image can be read (E122).
    """
    chosen = evenly_spread(range(len(paths)), count)
    others = sorted(set(range(len(paths))) - set(chosen))
    found = damaged = 0
    for place in (*chosen, *others):
        if found == count:
            break
        try:
            pixels = to_pixels(paths[place], str(paths[place]), max_pixels)
        except ImageError as error:
            damaged += 1
            _LOG.warning(f"{error}; it is left out")
            continue
        found += 1
        yield pixels
        del pixels  # it may be large, and is not held while the next one is read
    if damaged and not found:
        raise DatasetError(f"no image of {damaged} can be read; mend or replace them", code="E122")
    if damaged:
        _LOG.warning(f"{damaged} of {damaged + found} images cannot be read; {found} are used")
