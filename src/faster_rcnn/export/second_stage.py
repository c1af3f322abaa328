"""Detections of a fixed number inside an exported graph; the tensor form of ``roi/detections.py`` and its pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from faster_rcnn.export.first_stage import PaddedProposals
from faster_rcnn.export.suppression import NO_BOX, Selections
from faster_rcnn.ops.boxes import clip_to, sides_at_least
from faster_rcnn.ops.deltas import decode
from faster_rcnn.ops.roi_align import roi_align, roi_pool
from faster_rcnn.roi.detections import DetectionFilter, class_probabilities
from faster_rcnn.roi.pooling import Pooling
from faster_rcnn.structures import RoiOutput

NO_LABEL = -1
"""Label of a place without a detection."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Each proposal as an object of each class, before NMS."""

    boxes: Float[Tensor, "images proposals classes 4"]
    scores: Float[Tensor, "images proposals classes"]
    """Probabilities; ``NO_BOX`` where a score, a side or the proposal is below the detector's limits."""


@dataclass(frozen=True, slots=True, eq=False)
class PaddedDetections:
    """Equally many detections of each image, best first; places beyond ``num`` hold zeros and ``NO_LABEL``."""

    boxes: Float[Tensor, "images detections 4"]
    scores: Float[Tensor, "images detections"]
    labels: Int[Tensor, "images detections"]
    num: Int[Tensor, " images"]


def pooled_features(
    features: Sequence[Float[Tensor, "images channels _ _"]], boxes: Float[Tensor, "images proposals 4"], rule: Pooling
) -> Float[Tensor, "regions channels side side"]:
    """Features of all proposals, image by image; each proposal reads its level of the pyramid."""
    images = torch.arange(boxes.shape[0], device=boxes.device).float()[:, None, None]
    rois = torch.cat((images.expand(-1, boxes.shape[1], 1), boxes), dim=2).flatten(0, 1)  # (R, 5)
    if len(rule.strides) == 1:
        return _pooled(features[0], rois, rule.strides[0], rule)
    levels = rule.levels_of(rois[:, 1:])  # (R,)
    result = torch.zeros(
        (rois.shape[0], features[0].shape[1], rule.side, rule.side), dtype=features[0].dtype, device=boxes.device
    )
    for level, stride in enumerate(rule.strides):
        rows = torch.nonzero(levels == level)[:, 0]  # (regions of this level,)
        result = result.index_put((rows,), _pooled(features[level], rois[rows], stride, rule))
    return result


def _pooled(feature: Tensor, rois: Tensor, stride: int, rule: Pooling) -> Tensor:
    if rule.method == "pool":
        return roi_pool(feature, rois, stride=stride, side=rule.side)
    return roi_align(
        feature, rois, stride=stride, side=rule.side, sampling_ratio=rule.sampling_ratio, aligned=rule.aligned
    )


def candidates_of(
    output: RoiOutput, proposals: PaddedProposals, limits: Float[Tensor, "images 4"], rule: DetectionFilter
) -> Candidates:
    """Decode, clip and filter each proposal for each class."""
    shape = proposals.exist.shape  # (B, P)
    scores = class_probabilities(output.logits)[:, :-1].unflatten(0, shape)  # (B, P, K)
    deltas = output.deltas.unflatten(0, shape)  # (B, P, K, 4)
    boxes = clip_to(
        decode(deltas, proposals.boxes[:, :, None], rule.delta_weights), limits[:, None, None]
    )  # (B, P, K, 4)
    fit = (scores > rule.score_floor) & sides_at_least(boxes, rule.min_side) & proposals.exist[..., None]
    if rule.holes:
        reported = [label not in rule.holes for label in range(scores.shape[2])]
        fit = fit & torch.tensor(reported, device=scores.device)
    return Candidates(boxes, scores.where(fit, NO_BOX))


def padded_detections(candidates: Candidates, rule: DetectionFilter, ways: Selections) -> PaddedDetections:
    """``rule.max_detections`` places for the detections that ``roi.detections.select_of_images`` gives."""
    batch, _, classes = candidates.scores.shape
    by_class = candidates.boxes.transpose(1, 2).flatten(0, 1), candidates.scores.transpose(1, 2).flatten(0, 1)
    kept = ways.suppress(*by_class, rule.nms_iou, rule.max_detections)  # (B * K, P)
    kept = kept.unflatten(0, (batch, classes)).transpose(1, 2)  # (B, P, K)
    scores = candidates.scores.where(kept, NO_BOX).flatten(1)  # (B, P * K)
    count = rule.max_detections
    best, order = ways.best(pad(scores, (0, count), value=NO_BOX), count)  # (B, D) both
    exist = best > NO_BOX / 2  # (B, D)
    place = order.where(exist, 0)  # (B, D): the places that pad the scores have no box
    boxes = candidates.boxes.flatten(1, 2).gather(1, place[..., None].expand(-1, -1, 4))  # (B, D, 4)
    return PaddedDetections(
        boxes * exist[..., None],
        best.where(exist, 0.0),
        (place % classes).where(exist, NO_LABEL),
        exist.sum(dim=1),
    )
