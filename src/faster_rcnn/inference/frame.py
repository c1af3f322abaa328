"""One frame of a film or a camera, an image with its place in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An upright frame in 8-bit RGB."""

    pixels: UInt8[np.ndarray[Any, np.dtype[Any]], "height width 3"]
    number: int
    """Number of the frame in its film, counted from 0; frames that cannot be decoded count, too."""
    time: float
    """Seconds in the film, or since the first frame of a camera."""
    film: str
    """The name of the film or the camera."""

    @property
    def name(self) -> str:
        """The frame in messages."""
        return f"frame {self.number} of {self.film}"
