"""Faster R-CNN: ``Detector`` is the Python door, ``faster-rcnn`` the one on the command line."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from faster_rcnn._version import __version__
from faster_rcnn.errors import FasterRCNNError

if TYPE_CHECKING:
    from faster_rcnn.detector import Detector

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent, unless a program asks for the log

__all__ = ["Detector", "FasterRCNNError", "__version__"]


def __getattr__(name: str) -> object:
    """Import torch only when ``Detector`` is asked for, so that ``faster-rcnn --help`` answers at once."""
    if name != "Detector":
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from faster_rcnn.detector import Detector

    return Detector


def __dir__() -> list[str]:
    """The public names, the lazy one too."""
    return sorted(__all__)
