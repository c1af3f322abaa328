"""Recordings of made values: each box's whole way through both stages is written down, and the detector's own filters
decide what becomes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from faster_rcnn.explanation.record.recording import FirstStage, PartRecording, Recording, SecondStage
from faster_rcnn.images import rescale_detections
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.inference.tiles import Tile
from faster_rcnn.model import FasterRCNN
from faster_rcnn.ops.deltas import encode
from faster_rcnn.roi.detections import DetectionFilter, select_detections
from faster_rcnn.rpn.proposals import select_proposals
from faster_rcnn.settings.schema import DetectorConfig
from faster_rcnn.structures import Anchors, ClassMap, Detections, ImageBatch, ImageSize, Proposals, RoiOutput, RpnOutput
from faster_rcnn.weights.model_file import LoadedModel
from files import CLASSES
from tiny import boxes_of, decided_model, tiny_config

Box = tuple[float, float, float, float]
SCALE = 2.0
"""The resized frame of a made part is this much larger than the image."""
WHOLE = Tile(0, 0, 100, 80)
KEEP_ALL: dict[str, dict[str, Any]] = {
    "rpn": {"proposals_before_nms": 100, "proposals_after_nms": 100, "nms_iou": 0.7, "min_side": 0.0},
    "roi": {"nms_iou": 0.5, "min_side": 0.0, "score_floor": 0.05, "max_detections": 100},
}
"""Settings whose limits no made way reaches."""


@dataclass(frozen=True)
class Way:
    """One anchor's way: what the two stages make of it; boxes are in pixels of the image."""

    anchor: Box
    objectness: float = 0.9
    proposal: Box | None = None
    """After the first transform; by default the anchor itself."""
    scores: tuple[float, ...] = (0.9, 0.03, 0.03)
    """Probabilities of the classes; background has the rest."""
    box: Box | None = None
    """After the second transform, the same for all classes; by default the proposal itself."""


def made_network(kind: str = "faster-rcnn", **sections: dict[str, Any]) -> tuple[FasterRCNN, Predictor]:
    """A tiny detector whose settings of inference are those of the sections, and a predictor of it."""
    merged = {name: {**KEEP_ALL.get(name, {}), **sections.get(name, {})} for name in {*KEEP_ALL, *sections}}
    model, config = decided_model(len(CLASSES), **merged), tiny_config(**merged)
    config = config.model_copy(update={"detector": DetectorConfig.model_validate({"kind": kind})})
    classes = ClassMap(("object",), (1,)) if kind == "rpn" else CLASSES
    predictor = Predictor(prepare(LoadedModel(model, config, classes), torch.device("cpu"), torch.float32))
    return predictor.detector.network, predictor


def made_recording(
    ways: Sequence[Way],
    conf: float = 0.5,
    tiles: Sequence[tuple[Tile, Sequence[Way]]] = (),
    kind: str = "faster-rcnn",
    across_classes: bool = False,
    **sections: dict[str, Any],
) -> Recording:
    """A recording of an image of ``WHOLE``'s size in which exactly these ways exist; ``tiles`` have ways of their own.

    A way is complete in its first stage for a detector of the kind "rpn", and begins with its proposal for "fast-rcnn".
    """
    network, predictor = made_network(kind, **sections)
    parts = tuple(_part(network, place, each, kind, across_classes) for place, each in ((WHOLE, ways), *tiles))
    found = [_in_image(part) for part in parts]
    size = ImageSize(WHOLE.y2, WHOLE.x2)
    detections = found[0]
    if tiles:
        places = [(part.place, each.above(conf)) for part, each in zip(parts, found, strict=True)]
        detections = merge(places, size, network.roi.detection_filter.nms_iou)
    pixels = torch.zeros(3, *size, dtype=torch.uint8)
    return Recording(predictor, pixels, pixels, parts, detections, conf)


def logit(probability: float) -> float:
    """The logit whose sigmoid is a probability."""
    return math.log(probability / (1 - probability))


def _part(network: FasterRCNN, place: Tile, ways: Sequence[Way], kind: str, across_classes: bool) -> PartRecording:
    resized = ImageSize(round((place.y2 - place.y1) * SCALE), round((place.x2 - place.x1) * SCALE))
    anchors = _in_part([way.anchor for way in ways], place)
    moved = _in_part([way.proposal or way.anchor for way in ways], place)
    first = FirstStage(
        Anchors(anchors, (len(ways),)),
        RpnOutput(torch.tensor([logit(way.objectness) for way in ways])[None, :, None], encode(moved, anchors)[None]),
    )
    proposals = Proposals(moved, torch.tensor([way.objectness for way in ways]))
    if kind != "fast-rcnn":
        output = first.output
        proposals = select_proposals(
            output.logits[0], output.deltas[0], first.anchors, resized, network.inference_filter
        )
    second, detections = None, Detections.of_objects(proposals)
    if kind != "rpn":
        rule = replace(network.roi.detection_filter, across_classes=across_classes)
        second = _second_stage(rule, proposals, ways, place)
        detections = select_detections(second.output.logits, second.output.deltas, proposals, resized, second.rule)
    empty = torch.zeros(1, 16, 4, 4)
    return PartRecording(
        network=network,
        place=place,
        images=ImageBatch(torch.zeros(1, 3, *resized), (resized,)),
        body=(empty,),
        features=(empty,),
        first=None if kind == "fast-rcnn" else first,
        proposals=proposals,
        second=second,
        detections=detections,
    )


def _second_stage(rule: DetectionFilter, proposals: Proposals, ways: Sequence[Way], place: Tile) -> SecondStage:
    origins = range(len(ways)) if proposals.anchors is None else proposals.anchors.tolist()
    own = [ways[index] for index in origins]
    shares = torch.tensor([(*way.scores, 1 - sum(way.scores)) for way in own]).reshape(-1, len(CLASSES) + 1)
    final = _in_part([way.box or way.proposal or way.anchor for way in own], place)
    deltas = encode(final, proposals.boxes, rule.delta_weights)[:, None].expand(-1, len(CLASSES), -1)
    return SecondStage(torch.zeros(len(own), 16, 7, 7), RoiOutput(shares.log(), deltas), rule)


def _in_part(boxes: Sequence[Box], place: Tile) -> Tensor:
    return (boxes_of(boxes) - torch.tensor([place.x1, place.y1] * 2)) * SCALE


def _in_image(part: PartRecording) -> Detections:
    found = rescale_detections(part.detections, part.resized, part.size)
    return Detections(part.in_image(part.detections.boxes), found.scores, found.labels, found.proposals)
