"""Where the time of an image goes: shared features, proposals, regions, as in the paper's Table 5, and each in parts.

An image is detected by the same methods, in the same order, as ``FasterRCNN.detect`` calls them, with a clock between
them. In the three stages of the paper, the time of the RPN is that of its head, decoding and suppression; the features
that it shares are counted apart, and what comes before, reading and resizing the image, is not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import TypeVar

from jaxtyping import UInt8
from torch import Tensor

from faster_rcnn.images import rescale_boxes, rescale_proposals, size_of
from faster_rcnn.model import FasterRCNN
from faster_rcnn.structures import Detections, ImageBatch, ImageSize, Proposals, RpnOutput
from faster_rcnn.system.timing import timed

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


@dataclass(frozen=True, slots=True)
class ImageTimes:
    """Seconds of one image, from its file to its detections, in the order of the work."""

    decode: float
    resize: float
    """With normalising and padding."""
    body: float
    neck: float
    rpn_head: float
    """Head of the first stage."""
    proposals: float
    """Anchors, decoding, suppression."""
    roi_pooling: float
    region_head: float
    """Head of the second stage, classes and deltas."""
    post_processing: float
    """Softmax, decoding, suppression; boxes in pixels of the image."""

    @property
    def total(self) -> float:
        """All of it."""
        return float(sum(astuple(self)))

    @property
    def dense(self) -> float:
        """Body, neck and head of the first stage: what sees every position, whatever is in the image."""
        return self.body + self.neck + self.rpn_head

    @property
    def in_stages(self) -> StageTimes:
        """The three stages of the paper."""
        regions = self.roi_pooling + self.region_head + self.post_processing
        return StageTimes(self.body + self.neck, self.rpn_head + self.proposals, regions)


def detect_in_parts(
    model: FasterRCNN, read: Callable[[], UInt8[Tensor, "3 height width"]]
) -> tuple[ImageTimes, Detections]:
    """Detections in the image that ``read`` decodes, in its pixels, as ``model.detect`` gives them; and their times.

    The model has both stages and is in the mode of inference.
    """
    device = next(model.parameters()).device
    decode, pixels = timed(read, device)
    resize, batch = timed(lambda: batch_of(model, pixels), device)
    body, maps = timed(lambda: model.backbone.through_body(batch.pixels), device)
    neck, features = timed(lambda: model.backbone.through_neck(maps), device)
    rpn_head, output = timed(lambda: _head(model, features), device)
    proposals, found = timed(lambda: _propose(model, features, output, batch), device)
    roi_pooling, pooled = timed(lambda: model.roi.pool(features, [each.boxes for each in found]), device)
    region_head, outputs = timed(lambda: model.roi.outputs(pooled), device)
    post_processing, detections = timed(lambda: _select(model, outputs, found, batch, size_of(pixels)), device)
    times = ImageTimes(decode, resize, body, neck, rpn_head, proposals, roi_pooling, region_head, post_processing)
    return times, detections


def time_faster_rcnn(model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"]) -> StageTimes:
    """Both stages on one image, with as many proposals as in inference."""
    return detect_in_parts(model, lambda: pixels)[0].in_stages


def time_fast_rcnn(
    model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"], propose: Callable[[Tensor], Proposals]
) -> StageTimes:
    """The second stage on proposals that ``propose`` makes of the image, in its pixels."""
    batch = batch_of(model, pixels)
    device = batch.pixels.device
    seconds_of_features, features = timed(lambda: model.backbone(batch.pixels), device)
    seconds_of_proposals, found = timed(lambda: propose(pixels), device)
    outside = [rescale_proposals(found, size_of(pixels), batch.sizes[0]).to(device)]
    seconds_of_regions, _ = timed(lambda: model.roi.detect(features, outside, batch.sizes), device)
    return StageTimes(seconds_of_features, seconds_of_proposals, seconds_of_regions)


def batch_of(model: FasterRCNN, pixels: UInt8[Tensor, "3 height width"]) -> ImageBatch:
    """One image as the backbone reads it, where the model is."""
    device = next(model.parameters()).device
    return model.pad([model.prepare(pixels.to(device))])


def _head(model: FasterRCNN, features: list[Tensor]) -> RpnOutput:
    output: RpnOutput = model.rpn(features)
    return output


def _propose(model: FasterRCNN, features: list[Tensor], output: RpnOutput, batch: ImageBatch) -> list[Proposals]:
    anchors = model.rpn.anchors(features, batch)
    return model.rpn.propose(output, anchors, batch.sizes, model.inference_filter)


def _select(
    model: FasterRCNN,
    outputs: tuple[Tensor, Tensor],
    proposals: list[Proposals],
    batch: ImageBatch,
    size: ImageSize,
) -> Detections:
    """Of the one image, in the frame of its original pixels."""
    [found] = model.roi.select(*outputs, proposals, batch.sizes)
    return Detections(rescale_boxes(found.boxes, batch.sizes[0], size), found.scores, found.labels)
