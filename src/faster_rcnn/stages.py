"""The stages of one pass over a batch of images, in the order in which ``FasterRCNN.stages`` computes them.

Each user of the pass takes what it needs: detection keeps the last value, timing measures between the values, a trace
keeps all of them, and an export stops after the dense part.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor, nn

from faster_rcnn.structures import Detections, Proposals, RoiOutput, RpnOutput

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Stage(Generic[Value]):
    """The name of a stage, and the type of the value that it computes."""

    name: str


StageValue = tuple[Stage[Any], Any]
"""A stage and the value that it computed for one batch."""

BODY: Stage[list[Tensor]] = Stage("body")
"""Feature maps (images, channels, rows, columns) of the body, finest first."""
FEATURES: Stage[list[Tensor]] = Stage("features")
"""Feature maps of the neck, finest first, which both stages of the detector share."""
RPN_OUTPUT: Stage[RpnOutput] = Stage("rpn_output")
"""Objectness and deltas of every anchor; a pass over external proposals skips this stage."""
PROPOSALS: Stage[list[Proposals]] = Stage("proposals")
"""Proposals of each image, in the frame of the resized image."""
POOLED: Stage[Tensor] = Stage("pooled")
"""Pooled features (regions, channels, side, side) of the proposals of all images, image by image."""
ROI_OUTPUT: Stage[RoiOutput] = Stage("roi_output")
"""Class logits and deltas of all proposals, image by image."""
DETECTIONS: Stage[list[Detections]] = Stage("detections")
"""Detections of each image, in the frame of the resized image."""


def until(stages: Iterator[StageValue], stage: Stage[Value]) -> Value:
    """Run a pass up to a stage and return its value; later stages are not computed, earlier values are not kept.

    The same iterator can then be run further. Raises ``LookupError`` where the pass has no such stage.
    """
    for current, value in stages:
        if current == stage:
            result: Value = value
            return result
    raise LookupError(f"this pass has no stage {stage.name!r}")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every layer of a model into inference mode; afterwards each layer has the mode that it had before."""
    in_training = [layer for layer in model.modules() if layer.training]
    if in_training:
        model.eval()
    try:
        yield
    finally:
        for layer in in_training:
            layer.training = True
