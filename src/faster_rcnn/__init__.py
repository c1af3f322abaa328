"""Faster R-CNN: ``Detector`` is the door for Python, ``faster-rcnn`` the one for the command line."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from faster_rcnn._version import __version__
from faster_rcnn.errors import FasterRCNNError
from faster_rcnn.system.primitives import keep_primitives
from faster_rcnn.system.waiting import set_waiting

if TYPE_CHECKING:
    from faster_rcnn.detector import Detector
    from faster_rcnn.explanation.causes.kinds import Verdict
    from faster_rcnn.explanation.trace import Trace
    from faster_rcnn.films.film import Film
    from faster_rcnn.inference.detection import Detection
    from faster_rcnn.inference.result import Result
    from faster_rcnn.training.callback import Callback

set_waiting()  # OpenMP reads the environment when torch is loaded, which is when a name is used first
keep_primitives()
logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent, unless a program asks for the log

__all__ = ["Callback", "Detection", "Detector", "FasterRCNNError", "Film", "Result", "Trace", "Verdict", "__version__"]

_LAZY = {
    "Callback": "faster_rcnn.training.callback",
    "Detection": "faster_rcnn.inference.detection",
    "Detector": "faster_rcnn.detector",
    "Film": "faster_rcnn.films.film",
    "Result": "faster_rcnn.inference.result",
    "Trace": "faster_rcnn.explanation.trace",
    "Verdict": "faster_rcnn.explanation.causes.kinds",
}
"""Names that are imported when they are used first, by module, so that ``faster-rcnn --help`` answers at once."""


def __getattr__(name: str) -> object:
    """Import a lazy name."""
    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    """The public names, with those that are not imported yet."""
    return sorted(__all__)
