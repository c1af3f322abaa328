"""Time of one image, by stage: shared features, proposals and regions, as in the paper's Table 5, and each in parts.

A clock runs between the stages of ``FasterRCNN.stages``, the pass that ``FasterRCNN.detect`` runs. In the three stages
of the paper, the time of the RPN is that of its head, decoding and NMS; the features that it shares are counted apart,
and reading and resizing the image are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.images import rescale_detections, rescale_proposals, size_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.stages import (
    BODY,
    DETECTIONS,
    FEATURES,
    POOLED,
    PROPOSALS,
    ROI_OUTPUT,
    RPN_OUTPUT,
    Stage,
    StageValue,
)
from faster_rcnn.structures import Detections, ImageBatch, Proposals
from faster_rcnn.system.timing import timed

STAGES = (BODY, FEATURES, RPN_OUTPUT, PROPOSALS, POOLED, ROI_OUTPUT, DETECTIONS)
"""The stages of a detector with both of its own, in the order of the last seven fields of ``ImageTimes``."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds of one image."""

    features: float
    proposals: float
    regions: float

    @property
    def total(self) -> float:
        """Sum of the three stages."""
        return self.features + self.proposals + self.regions


@dataclass(frozen=True, slots=True)
class ImageTimes:
    """Seconds of one image, from its file to its detections, in the order of computation."""

    decode: float
    resize: float
    """Normalizing and padding are included."""
    body: float
    neck: float
    rpn_head: float
    """Head of the first stage."""
    proposals: float
    """Anchors, decoding, NMS."""
    roi_pooling: float
    region_head: float
    """Head of the second stage, classes and deltas."""
    post_processing: float
    """Softmax, decoding, NMS; boxes in pixels of the image."""

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return float(sum(astuple(self)))

    @property
    def dense(self) -> float:
        """Body, neck and head of the first stage: they compute every position, whatever the image shows."""
        return self.body + self.neck + self.rpn_head

    @property
    def in_stages(self) -> StageTimes:
        """The three stages of the paper."""
        regions = self.roi_pooling + self.region_head + self.post_processing
        return StageTimes(self.body + self.neck, self.rpn_head + self.proposals, regions)


def detect_in_parts(
    model: FasterRCNN, read: Callable[[], UInt8[Tensor, "3 height width"]]
) -> tuple[ImageTimes, Detections]:
    """Detections in the image that ``read`` decodes, in its pixels, as ``model.detect`` gives them, and their times.

    The model has both stages and is in inference mode.
    """
    device = next(model.parameters()).device
    decode, pixels = timed(read, device)
    resize, images = timed(lambda: batch_of(model, pixels), device)
    seconds: dict[Stage[Any], float] = {}
    for stage, value, duration in timed_stages(model.stages(images), device):
        seconds[stage], last = duration, value
    [found] = last
    rescaling, detections = timed(lambda: rescale_detections(found, images.sizes[0], size_of(pixels)), device)
    times = ImageTimes(decode, resize, *(seconds[stage] for stage in STAGES))
    return replace(times, post_processing=times.post_processing + rescaling), detections


def timed_stages(stages: Iterator[StageValue], device: torch.device) -> Iterator[tuple[Stage[Any], Any, float]]:
    """The stages of a pass with their values, each with the seconds that it took."""
    while True:
        seconds, computed = timed(lambda: next(stages, None), device)
        if computed is None:
            return
        yield *computed, seconds


def time_faster_rcnn(model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"]) -> StageTimes:
    """Times of both stages on one image, with as many proposals as in inference."""
    return detect_in_parts(model, lambda: pixels)[0].in_stages


def time_fast_rcnn(
    model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"], propose: Callable[[Tensor], Proposals]
) -> StageTimes:
    """Times of the second stage on proposals that ``propose`` makes of the image, in its pixels."""
    images = batch_of(model, pixels)
    device = images.pixels.device
    search, found = timed(lambda: propose(pixels), device)
    external = [rescale_proposals(found, size_of(pixels), images.sizes[0]).to(device)]
    seconds = {stage: duration for stage, _, duration in timed_stages(model.stages(images, external), device)}
    return StageTimes(
        seconds[BODY] + seconds[FEATURES], search, seconds[POOLED] + seconds[ROI_OUTPUT] + seconds[DETECTIONS]
    )


def batch_of(model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"]) -> ImageBatch:
    """One image as the backbone reads it, on the device of the model."""
    device = next(model.parameters()).device
    return model.preparation.pad([model.preparation.resized(pixels.to(device))])
