"""The 5 % rule: single damaged images of a split are left out and reported, many of them stop the work."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from faster_rcnn.errors import DatasetError

MAX_LEFT_OUT_PERCENT = 5
"""Share of a split's images that may be left out; more of them point to a fault of the data as a whole."""

_LOG = logging.getLogger(__name__)


def max_left_out(images: int) -> int:
    """Maximum number of images that may be left out of a split of ``images``: 5 %, but always one.

    >>> max_left_out(10), max_left_out(59), max_left_out(60)
    (1, 2, 3)
    """
    return max(1, images * MAX_LEFT_OUT_PERCENT // 100)


class DamagedImages:
    """The images of a split that turn out to be undecodable while they are used; each is logged once."""

    def __init__(self, split: str, images: int, consequence: str) -> None:
        """Start without damage.

        Args:
            split: name of the split, for messages.
            images: number of its images.
            consequence: what becomes of a damaged image, such as ``it is left out of training``.
        """
        self._split, self._images, self._consequence = split, images, consequence
        self._places: set[int] = set()

    def add(self, faults: Mapping[int, str]) -> None:
        """Log each image that is damaged and was not known to be; ``faults`` are messages by place in the split.

        Raises:
            DatasetError: more than 5 % of the images are damaged, or all of them (E105).
        """
        for place, fault in faults.items():
            if place not in self._places:
                self._places.add(place)
                _LOG.warning("%s; %s", fault, self._consequence)
        count = len(self._places)
        if faults and (count > max_left_out(self._images) or count == self._images):
            last = list(faults.values())[-1]
            raise DatasetError(
                f"{count} of {self._images} images of {self._split} cannot be decoded, more than the "
                f"{MAX_LEFT_OUT_PERCENT} % that are left out: {last}. Mend or remove them",
                code="E105",
            )
