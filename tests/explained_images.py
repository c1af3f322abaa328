"""Images explained by tiny detectors, for tests of explanations."""

from __future__ import annotations

from typing import Any

import torch

from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.explanation.trace import Trace
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.structures import ClassMap, GroundTruth
from files import loaded_model, rgb

CLASSES = ("cat", "dog", "hen")


def tiny_predictor(
    names: tuple[str, ...] = CLASSES, tiling: Tiling | None = None, **sections: dict[str, Any]
) -> Predictor:
    """A predictor of the tiny detector whose scores differ widely."""
    loaded = loaded_model(ClassMap(names, tuple(range(1, len(names) + 1))), **sections)
    return Predictor(prepare(loaded, torch.device("cpu"), torch.float32, exact=True), tiling=tiling)


def tiny_explained(
    truth: GroundTruth | None = None,
    *,
    conf: float = 0.37,
    names: tuple[str, ...] = CLASSES,
    size: tuple[int, int] = (96, 128),
    tiling: Tiling | None = None,
    **sections: dict[str, Any],
) -> Trace:
    """An image of noise of this height and width, explained by the predictor of ``tiny_predictor``."""
    return Trace(record(tiny_predictor(names, tiling, **sections), rgb(*size), conf, truth), Thresholds(conf))
