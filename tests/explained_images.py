"""Images explained by tiny detectors, for tests of explanations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor

from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.explanation.trace import Trace
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tiling
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import DetectorConfig
from faster_rcnn.structures import ClassMap, GroundTruth, Proposals
from faster_rcnn.weights.model_file import LoadedModel
from files import loaded_model, rgb

Kind = Literal["faster-rcnn", "fast-rcnn", "rpn"]
CLASSES = ("cat", "dog", "hen")


def tiny_predictor(
    names: tuple[str, ...] = CLASSES,
    tiling: Tiling | None = None,
    kind: Kind = "faster-rcnn",
    **sections: dict[str, Any],
) -> Predictor:
    """A predictor of the tiny detector whose scores differ widely."""
    loaded = _of_kind(kind, loaded_model(ClassMap(names, tuple(range(1, len(names) + 1))), **sections))
    detector = prepare(loaded, torch.device("cpu"), torch.float32, exact=True)
    return Predictor(detector, tiling=tiling, proposals=grid_of_proposals if kind == "fast-rcnn" else None)


def grid_of_proposals(image: AnyImage, pixels: Tensor) -> Proposals:
    """External proposals: 12 overlapping squares of half the image's height."""
    side = pixels.shape[1] / 2
    corners = [(x * side / 2, y * side / 2) for y in range(3) for x in range(4)]
    boxes = torch.tensor([(x, y, x + side, y + side) for x, y in corners])
    return Proposals(boxes, torch.linspace(0.9, 0.1, len(boxes)))


def tiny_explained(
    truth: GroundTruth | None = None,
    *,
    conf: float = 0.37,
    names: tuple[str, ...] = CLASSES,
    size: tuple[int, int] = (96, 128),
    tiling: Tiling | None = None,
    kind: Kind = "faster-rcnn",
    **sections: dict[str, Any],
) -> Trace:
    """An image of noise of this height and width, explained by the predictor of ``tiny_predictor``."""
    return Trace(record(tiny_predictor(names, tiling, kind, **sections), rgb(*size), conf, truth), Thresholds(conf))


def _of_kind(kind: Kind, loaded: LoadedModel) -> LoadedModel:
    """The same detector with the stages of its kind alone."""
    config, model = loaded.config.model_copy(update={"detector": DetectorConfig(kind=kind)}), loaded.model
    rpn = None if kind == "fast-rcnn" else model.rpn
    roi = None if kind == "rpn" else model.roi
    filters = model.training_filter, model.inference_filter
    return replace(
        loaded, model=FasterRCNN(model.backbone, rpn, roi, model.preparation, *filters).eval(), config=config
    )


def noise_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture of noise, which no codec stores in little space."""
    return Image.fromarray(rgb(height, width, seed))
