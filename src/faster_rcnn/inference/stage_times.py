"""Where the time of an image goes: shared features, proposals, regions, as in the paper's Table 5.

The time of the RPN is that of its head, decoding and suppression; the features that it shares are counted apart. What
comes before, reading and resizing the image, is the same for both systems and is not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.images import pad_to_batch, rescale_proposals, size_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import ImageBatch, Proposals

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds of one image."""

    features: float
    proposals: float
    regions: float

    @property
    def total(self) -> float:
        """All three stages."""
        return self.features + self.proposals + self.regions


def time_faster_rcnn(model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"]) -> StageTimes:
    """Both stages on one image, with as many proposals as in inference."""
    batch = _batch_of(model, pixels)
    seconds_of_features, features = _timed(lambda: model.backbone(batch.pixels), batch)
    seconds_of_proposals, proposals = _timed(lambda: _propose(model, features, batch), batch)
    seconds_of_regions, _ = _timed(lambda: model.roi.detect(features, proposals, batch.sizes), batch)
    return StageTimes(seconds_of_features, seconds_of_proposals, seconds_of_regions)


def time_fast_rcnn(
    model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"], propose: Callable[[Tensor], Proposals]
) -> StageTimes:
    """The second stage on proposals that ``propose`` makes of the image, in its pixels."""
    batch = _batch_of(model, pixels)
    seconds_of_features, features = _timed(lambda: model.backbone(batch.pixels), batch)
    seconds_of_proposals, found = _timed(lambda: propose(pixels), batch)
    outside = [rescale_proposals(found, size_of(pixels), batch.sizes[0]).to(batch.pixels.device)]
    seconds_of_regions, _ = _timed(lambda: model.roi.detect(features, outside, batch.sizes), batch)
    return StageTimes(seconds_of_features, seconds_of_proposals, seconds_of_regions)


def _batch_of(model: FasterRCNN, pixels: Tensor) -> ImageBatch:
    device = next(model.parameters()).device
    return pad_to_batch([model.prepare(pixels.to(device))], model.multiple)


def _propose(model: FasterRCNN, features: list[Tensor], batch: ImageBatch) -> list[Proposals]:
    output, anchors = model.rpn(features), model.rpn.anchors(features, batch)
    return model.rpn.propose(output, anchors, batch.sizes, model.inference_filter)


def _timed(work: Callable[[], Result], batch: ImageBatch) -> tuple[float, Result]:
    """Seconds, and what came out; a GPU is waited for."""
    device = batch.pixels.device
    _wait_for(device)
    start = time.perf_counter()
    result = work()
    _wait_for(device)
    return time.perf_counter() - start, result


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
