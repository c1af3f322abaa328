"""Oracles: what the detector finds in an image where one of its stages makes no error.

The second stage runs once more on the features that were recorded, with the truths as its proposals; its recorded
outputs are selected once more with the right class for each region.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.explanation.record.recording import PartRecording, Recording, SecondStage
from faster_rcnn.inference.merging import merge
from faster_rcnn.inference.result import ordinary
from faster_rcnn.ops.boxes import clip, ioa, iou, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.roi.detections import DetectionFilter, class_probabilities, select_detections
from faster_rcnn.structures import Detections, GroundTruth, Proposals, RoiOutput

MIN_SHOWN = 0.5
"""Share of a truth that lies in a tile which takes it as a proposal."""
NEVER, FLOOR = 1e-12, 1e-6
"""The probability of a class that the oracle excludes, and a floor of scores above it."""


@dataclass(frozen=True, slots=True, eq=False)
class OracleDetections:
    """Detections of one image, in its pixels and on the CPU, under three assumptions."""

    proposals: Detections
    """The truths are the proposals; a region proposal network alone gives the truths."""
    classes: Detections
    """Each region on a truth gets its class; other regions give nothing."""
    everything: Detections
    """Proposals, classes and boxes are the truths, up to the limit of detections."""


def oracle_detections(recording: Recording, truth: GroundTruth, iou_threshold: float) -> OracleDetections:
    """The detections of an image under each oracle.

    Args:
        recording: the recorded image.
        truth: in its pixels, with the labels of the detector.
        iou_threshold: lowest IoU of a region, or of its final box, with the truth that it lies on.
    """
    whole = recording.whole
    perfect = truths_as_detections(truth)
    limit = whole.network.inference_filter.after_nms if whole.second is None else whole.second.rule.max_detections
    with recording.predictor.detector.computing():
        proposals = perfect
        if whole.second is not None:
            proposals = _joined(recording, [_of_true_proposals(part, truth) for part in recording.parts])
        classes = _joined(recording, [_of_true_classes(part, truth, iou_threshold) for part in recording.parts])
    return OracleDetections(ordinary(proposals), ordinary(classes), perfect[:limit])


def truths_as_detections(truth: GroundTruth) -> Detections:
    """A certain detection of each truth that is not ignored."""
    wanted = torch.nonzero(~truth.ignored)[:, 0]
    return Detections(truth.boxes[wanted], torch.ones(len(wanted)), truth.labels[wanted])


def _of_true_proposals(part: PartRecording, truth: GroundTruth) -> Detections:
    """The detections of the second stage in a part whose proposals are the truths, in pixels of the image."""
    place = truth.boxes.new_tensor([part.place])  # (1, 4)
    shown = torch.nonzero(ioa(truth.boxes, place)[:, 0] >= MIN_SHOWN)[:, 0]
    boxes = clip(part.in_part(truth.boxes[shown]), part.resized)
    boxes = boxes[sides_at_least(boxes, FLOOR)].to(part.images.pixels.device)
    proposals = Proposals(boxes, torch.ones_like(boxes[:, 0]))
    if not len(boxes) or part.second is None:
        return _none()
    network = part.network
    output = network.roi.outputs(network.roi.pool(list(part.features), [boxes]))
    [found] = network.roi.select(output, [proposals], [part.resized], part.second.rule)
    return _in_image(part, found)


def _of_true_classes(part: PartRecording, truth: GroundTruth, iou_threshold: float) -> Detections:
    """The detections of a part whose regions on a truth have its class and whose others have none."""
    truth = truth.to(part.proposals.boxes.device)
    if not len(truth.labels) or not len(part.proposals.boxes):
        return _none()
    on = iou(part.in_image(part.proposals.boxes).double(), truth.boxes.double())  # (P, T)
    if part.second is None:
        return _in_image(part, part.detections[torch.nonzero(on.amax(dim=1) >= iou_threshold)[:, 0]])
    final = _final_ious(part, part.second, truth)  # (P, T)
    best = final.where(torch.maximum(on, final) >= iou_threshold, -1).max(dim=1)
    labels = truth.labels[best.indices]  # (P,), meaningful where some truth is near
    logits = _logits_of(part.second.output, labels, best.values >= 0)
    rule: DetectionFilter = replace(part.second.rule, score_floor=FLOOR)
    found = select_detections(logits, part.second.output.deltas, part.proposals, part.resized, rule)
    return _in_image(part, found)


def _final_ious(part: PartRecording, second: SecondStage, truth: GroundTruth) -> Float[Tensor, "proposals truths"]:
    """IoU of each region with each truth after the second transform of the truth's class."""
    own = second.output.deltas[:, truth.labels]  # (P, T, 4)
    references = part.proposals.boxes[:, None].expand_as(own)
    boxes = clip(decode(own, references, second.rule.delta_weights), part.resized)  # (P, T, 4)
    columns = [
        iou(part.in_image(boxes[:, index]).double(), truth.boxes[index : index + 1].double())
        for index in range(len(truth.labels))
    ]
    return torch.cat(columns, dim=1)


def _logits_of(output: RoiOutput, labels: Tensor, is_near: Tensor) -> Float[Tensor, "proposals outputs"]:
    """Logits of the right class, which has the probabilities of all classes together; background for other regions."""
    background = class_probabilities(output.logits)[:, -1].double()  # (P,)
    right = (1 - background).clamp(min=10 * FLOOR).where(is_near, NEVER)  # (P,)
    probabilities = torch.full_like(output.logits, NEVER, dtype=torch.float64)
    probabilities[:, -1] = (1 - right).clamp(min=NEVER)
    probabilities[torch.arange(len(labels), device=labels.device), labels] = right
    return probabilities.log().float()


def _in_image(part: PartRecording, found: Detections) -> Detections:
    return replace(found, boxes=part.in_image(found.boxes)).to("cpu")


def _joined(recording: Recording, found: Sequence[Detections]) -> Detections:
    """The detections of all parts of an image, merged as the predictor merges those of tiles."""
    if len(found) == 1:
        return found[0]
    second = recording.whole.second
    nms_iou = recording.whole.network.inference_filter.nms_iou if second is None else second.rule.nms_iou
    across = second is not None and second.rule.across_classes
    places = [part.place for part in recording.parts]
    return merge(list(zip(places, found, strict=True)), recording.size, nms_iou, across_classes=across)


def _none() -> Detections:
    return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
