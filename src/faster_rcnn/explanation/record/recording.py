"""The record of one image's way through both stages: everything that the detector's own pass computed.

``recorder.py`` makes it. Boxes of a part are in the frame of its resized image, as the pass computes them;
``PartRecording.in_image`` moves them to pixels of the image, the frame of truths and detections.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from faster_rcnn.images import rescale_boxes
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.tiles import Tile
from faster_rcnn.model import FasterRCNN
from faster_rcnn.roi.detections import DetectionFilter
from faster_rcnn.structures import (
    Anchors,
    ClassMap,
    Detections,
    GroundTruth,
    ImageBatch,
    ImageSize,
    Proposals,
    RoiOutput,
    RpnOutput,
)


@dataclass(frozen=True, slots=True, eq=False)
class FirstStage:
    """What the region proposal network computed for one part."""

    anchors: Anchors
    output: RpnOutput
    """The output for a batch of one image: logits (1, anchors, outputs) and deltas (1, anchors, 4)."""


@dataclass(frozen=True, slots=True, eq=False)
class SecondStage:
    """What the region network computed for the proposals of one part."""

    pooled: Float[Tensor, "proposals channels side side"]
    output: RoiOutput
    rule: DetectionFilter
    """The filter that chose the detections."""


@dataclass(frozen=True, slots=True, eq=False)
class PartRecording:
    """One pass of the detector: over the whole image, or over a tile of it."""

    network: FasterRCNN
    """The network that computed the pass."""
    place: Tile
    """The part of the image, in its pixels."""
    images: ImageBatch
    """The resized, normalized and padded part, a batch of one."""
    body: tuple[Tensor, ...]
    """Feature maps (1, channels, rows, columns) of the body, finest first."""
    features: tuple[Tensor, ...]
    """Feature maps of the neck, finest first, which both stages read."""
    first: FirstStage | None
    """``None`` where external proposals replaced the first stage."""
    proposals: Proposals
    """Best first, in the frame of the resized part."""
    second: SecondStage | None
    """``None`` for a region proposal network alone, whose detections are its proposals."""
    detections: Detections
    """What the second stage's filter kept, in the frame of the resized part; each has the index of its proposal."""

    @property
    def size(self) -> ImageSize:
        """Height and width of the part in pixels of the image."""
        return ImageSize(self.place.y2 - self.place.y1, self.place.x2 - self.place.x1)

    @property
    def resized(self) -> ImageSize:
        """Height and width of the part after resizing, without the padding."""
        return self.images.sizes[0]

    def in_image(self, boxes: Float[Tensor, "*boxes 4"]) -> Float[Tensor, "*boxes 4"]:
        """Boxes of this part's frame in pixels of the image."""
        moved = rescale_boxes(boxes.reshape(-1, 4), self.resized, self.size).reshape(boxes.shape)
        return moved + moved.new_tensor([self.place.x1, self.place.y1, self.place.x1, self.place.y1])

    def in_part(self, boxes: Float[Tensor, "boxes 4"]) -> Float[Tensor, "boxes 4"]:
        """Boxes in pixels of the image in the frame of this part."""
        shift = boxes.new_tensor([self.place.x1, self.place.y1, self.place.x1, self.place.y1])
        return rescale_boxes(boxes - shift, self.size, self.resized)


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The whole way of one image: its parts, its detections, and its truth where that is known."""

    predictor: Predictor
    """Predicts as the image was recorded: the same detector, tiles and choice of detections."""
    image: AnyImage
    """The image as it was given."""
    pixels: UInt8[Tensor, "3 height width"]
    parts: tuple[PartRecording, ...]
    """The whole image first, then its tiles row by row; one part where the image was not cut into tiles."""
    detections: Detections
    """All detections of the detector, whatever their score, best first, in pixels of the image."""
    conf: float
    """The lowest score of a detection that is reported."""
    truth: GroundTruth | None = None
    """In pixels of the image, with the labels of the detector; ``None`` where it is not known."""

    @property
    def classes(self) -> ClassMap:
        """Names and ids of the labels."""
        return self.predictor.classes

    @property
    def size(self) -> ImageSize:
        """Height and width of the upright image in pixels."""
        return ImageSize(self.pixels.shape[1], self.pixels.shape[2])

    @property
    def whole(self) -> PartRecording:
        """The pass over the whole image."""
        return self.parts[0]

    @property
    def reported(self) -> Detections:
        """The detections whose score is at least ``conf``."""
        return self.detections.above(self.conf)

    def part_of(self, detection: int) -> PartRecording:
        """The part that a detection was found in, by its index in ``detections``."""
        parts = self.detections.parts
        return self.parts[0 if parts is None else int(parts[detection])]
