"""Where each anchor and each region ended: dropped by a limit, suppressed by a better box, or kept.

The fates follow from calls of the detector's own selections, ``select_proposals`` and ``select_detections``, each with
one limit lifted: what a call gives beyond the last one is what that limit removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from faster_rcnn.explanation.record.recording import FirstStage, PartRecording, SecondStage
from faster_rcnn.ops.boxes import clip, iou
from faster_rcnn.ops.deltas import decode
from faster_rcnn.roi.detections import DetectionFilter, class_probabilities, select_detections
from faster_rcnn.rpn.proposals import ProposalFilter, objectness_logit, select_proposals

NO_NMS = 1.0
"""An IoU threshold that no two boxes exceed."""
NOBODY = -1
"""The index in the place of a suppressor where a box was not suppressed."""


class Fate(IntEnum):
    """How far a candidate came, in the order of the filter's steps."""

    BELOW_CUT = 0
    """Its score is too low: beyond ``proposals_before_nms``, or not above ``score_floor``."""
    TOO_SMALL = 1
    """A side is shorter than ``min_side``."""
    SUPPRESSED = 2
    """NMS removed it in favour of a better-scored box."""
    BEYOND_LIMIT = 3
    """It survived NMS, and more than ``proposals_after_nms`` or ``max_detections`` others have better scores."""
    KEPT = 4


@dataclass(frozen=True, slots=True, eq=False)
class AnchorScores:
    """The score of every anchor of one part, and what its deltas made of it."""

    objectness: Float[Tensor, " anchors"]
    """0..1."""
    boxes: Float[Tensor, "anchors 4"]
    """Decoded and clipped, in the frame of the resized part."""
    levels: Int[Tensor, " anchors"]
    ranks: Int[Tensor, " anchors"]
    """Rank by objectness within the anchor's level, the best is 1."""


@dataclass(frozen=True, slots=True, eq=False)
class AnchorFates(AnchorScores):
    """The fate of every anchor of one part."""

    fates: Int[Tensor, " anchors"]
    """A ``Fate``."""
    suppressors: Int[Tensor, " anchors"]
    """Index of the anchor whose proposal suppressed this one; ``NOBODY`` for all others."""
    surviving_ranks: Int[Tensor, " anchors"]
    """Rank by objectness among all boxes that survived NMS, the best is 1; 0 for all others."""


@dataclass(frozen=True, slots=True, eq=False)
class RegionFates:
    """The fate of every pair of a proposal and a class of one part."""

    probabilities: Float[Tensor, "proposals outputs"]
    """The classes, then background, 0..1; a row sums to 1."""
    boxes: Float[Tensor, "proposals classes 4"]
    """Decoded and clipped, in the frame of the resized part."""
    fates: Int[Tensor, "proposals classes"]
    """A ``Fate``."""
    suppressors: Int[Tensor, "proposals classes"]
    """``proposal * classes + label`` of the pair that suppressed this one; ``NOBODY`` for all others."""
    surviving_ranks: Int[Tensor, "proposals classes"]
    """Rank by score among all boxes that survived NMS, the best is 1; 0 for all others."""


@torch.inference_mode()
def anchor_scores(part: PartRecording, first: FirstStage) -> AnchorScores:
    """The score and the decoded box of every anchor of a part, without NMS, which takes most of the time of fates."""
    anchors, logit = first.anchors, objectness_logit(first.output.logits[0])  # (A,)
    per_level = torch.tensor(anchors.per_level, device=logit.device)
    return AnchorScores(
        objectness=logit.sigmoid(),
        boxes=clip(decode(first.output.deltas[0], anchors.boxes), part.resized),
        levels=torch.arange(len(per_level), device=logit.device).repeat_interleave(per_level),
        ranks=torch.cat([_ranks_of(each) for each in logit.split(anchors.per_level)]),
    )


@torch.inference_mode()
def anchor_fates(part: PartRecording, first: FirstStage) -> AnchorFates:
    """The fate of every anchor of a part by the proposal filter of inference."""
    rule, scores = part.network.inference_filter, anchor_scores(part, first)
    count = len(scores.objectness)
    unlimited = replace(rule, after_nms=count)
    kept_by = partial(_anchors_kept_by, part, first)
    survived = kept_by(unlimited)
    steps = (
        (Fate.TOO_SMALL, kept_by(replace(unlimited, nms_iou=NO_NMS, min_side=0.0))),
        (Fate.SUPPRESSED, kept_by(replace(unlimited, nms_iou=NO_NMS))),
        (Fate.BEYOND_LIMIT, survived),
        (Fate.KEPT, _known(part.proposals.anchors)),
    )
    fates = _furthest(steps, count)
    return AnchorFates(
        scores.objectness,
        scores.boxes,
        scores.levels,
        scores.ranks,
        fates=fates,
        suppressors=_suppressors(scores.boxes, scores.levels, fates, survived, rule.nms_iou),
        surviving_ranks=_ranks_in(survived, count),
    )


@torch.inference_mode()
def region_fates(part: PartRecording, second: SecondStage) -> RegionFates:
    """The fate of every proposal of a part, as each class, by the filter of detections."""
    rule, output = second.rule, second.output
    probabilities = class_probabilities(output.logits)  # (P, K + 1)
    references = part.proposals.boxes[:, None].expand_as(output.deltas)  # (P, K, 4)
    boxes = clip(decode(output.deltas, references, rule.delta_weights), part.resized)  # (P, K, 4)
    count, classes = boxes.shape[:2]
    unlimited = replace(rule, max_detections=max(1, count * classes))
    kept_by = partial(_pairs_kept_by, part, second)
    survived = kept_by(unlimited)
    steps = (
        (Fate.TOO_SMALL, kept_by(replace(unlimited, nms_iou=NO_NMS, min_side=0.0))),
        (Fate.SUPPRESSED, kept_by(replace(unlimited, nms_iou=NO_NMS))),
        (Fate.BEYOND_LIMIT, survived),
        (Fate.KEPT, _known(part.detections.proposals) * classes + part.detections.labels),
    )
    fates = _furthest(steps, count * classes)
    labels = torch.arange(classes, device=fates.device).repeat(count)  # (P * K,)
    groups = torch.zeros_like(labels) if rule.across_classes else labels
    # In double precision, as ``nms_per_group`` compares them.
    suppressors = _suppressors(boxes.flatten(0, 1).double(), groups, fates, survived, rule.nms_iou)
    pairs = count, classes
    return RegionFates(
        probabilities=probabilities,
        boxes=boxes,
        fates=fates.unflatten(0, pairs),
        suppressors=suppressors.unflatten(0, pairs),
        surviving_ranks=_ranks_in(survived, count * classes).unflatten(0, pairs),
    )


def _anchors_kept_by(part: PartRecording, first: FirstStage, rule: ProposalFilter) -> Int[Tensor, " kept"]:
    """Anchors of the proposals that a filter keeps, best first."""
    logits, deltas = first.output.logits[0], first.output.deltas[0]
    return _known(select_proposals(logits, deltas, first.anchors, part.resized, rule).anchors)


def _pairs_kept_by(part: PartRecording, second: SecondStage, rule: DetectionFilter) -> Int[Tensor, " kept"]:
    """``proposal * classes + label`` of the detections that a filter keeps, best first."""
    output = second.output
    kept = select_detections(output.logits, output.deltas, part.proposals, part.resized, rule)
    return _known(kept.proposals) * output.deltas.shape[1] + kept.labels


def _known(origins: Tensor | None) -> Tensor:
    """The indices of the boxes that the detector's own boxes came from; boxes of its stages have them."""
    if origins is None:
        raise ValueError("boxes that no stage made have no fate")
    return origins


def _furthest(steps: Sequence[tuple[Fate, Tensor]], count: int) -> Int[Tensor, " candidates"]:
    """The last fate that each of ``count`` candidates reached; the first fate for those of no step."""
    fates = torch.full((count,), int(Fate.BELOW_CUT), device=steps[0][1].device)
    for fate, indices in steps:
        fates[indices] = int(fate)
    return fates


def _suppressors(
    boxes: Float[Tensor, "candidates 4"],
    groups: Int[Tensor, " candidates"],
    fates: Int[Tensor, " candidates"],
    survived: Int[Tensor, " survived"],
    iou_threshold: float,
) -> Int[Tensor, " candidates"]:
    """The best-scored survivor of its own group whose IoU with it exceeds the threshold, for each suppressed box.

    ``boxes`` have the precision in which NMS compares them, so that the IoUs are the same to the last bit.
    """
    suppressors = torch.full_like(fates, NOBODY)
    suppressed = torch.nonzero(fates == Fate.SUPPRESSED)[:, 0]  # (S,)
    for group in groups[suppressed].unique().tolist():
        own = suppressed[groups[suppressed] == group]  # (O,)
        rivals = survived[groups[survived] == group]  # (R,), best first
        ious = iou(boxes[own], boxes[rivals])  # (O, R)
        over = ious > iou_threshold
        # A GPU may round otherwise and leave none over the threshold: then the nearest survivor is named.
        first = torch.where(over.any(dim=1), over.int().argmax(dim=1), ious.argmax(dim=1))  # (O,)
        suppressors[own] = rivals[first]
    return suppressors


def _ranks_of(scores: Float[Tensor, " scores"]) -> Int[Tensor, " scores"]:
    """The rank of each score, the highest is 1."""
    return _ranks_in(scores.argsort(descending=True, stable=True), len(scores))


def _ranks_in(order: Int[Tensor, " ordered"], count: int) -> Int[Tensor, " count"]:
    """The place of each of ``count`` indices in an order, the first is 1; 0 for indices that are not in it."""
    ranks = torch.zeros(count, dtype=torch.int64, device=order.device)
    ranks[order] = torch.arange(1, len(order) + 1, device=order.device)
    return ranks
