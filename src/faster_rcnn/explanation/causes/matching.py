"""Which detection counts for which truth of an image, by COCO's rules at one IoU threshold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from faster_rcnn.ops.boxes import intersection, ioa_from_intersection, iou_from_intersection
from faster_rcnn.structures import Detections, GroundTruth

UNMATCHED = -1
"""The index in the place of a partner for a box that has none."""


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """The partner of each detection and of each truth."""

    truths: Int[Tensor, " detections"]
    """Index of the truth that each detection counts for, or ``UNMATCHED``."""
    detections: Int[Tensor, " truths"]
    """Index of the detection that counts for each truth, or ``UNMATCHED``; ``UNMATCHED`` for ignored truths."""
    excused: Bool[Tensor, " detections"]
    """Whether a detection without a truth lies on an ignored truth of its class: it is neither right nor wrong."""


def match_detections(detections: Detections, truth: GroundTruth, iou_threshold: float) -> Matching:
    """Match detections, best first, each to the truth of its class with the highest IoU that is still free.

    A truth is free until a detection with an IoU of at least ``iou_threshold`` takes it. An ignored truth takes any
    number of detections, and its IoU is the IoA of the detection, as in COCO. Both are in pixels of the image.
    """
    found, wanted = detections.boxes.double()[:, None], truth.boxes.double()[None]  # (D, 1, 4), (1, T, 4)
    shared = intersection(found, wanted)  # (D, T)
    ious = iou_from_intersection(shared, found, wanted)
    ious = torch.where(truth.ignored, ioa_from_intersection(shared, found), ious)
    ious = ious.masked_fill_(detections.labels[:, None] != truth.labels, 0)
    partner_of_truth = [UNMATCHED] * len(truth.labels)
    partner, excused = [], []
    ignored = truth.ignored.tolist()
    for index, row in enumerate(ious.tolist()):
        fits = [place for place, value in enumerate(row) if value >= iou_threshold]
        free = [place for place in fits if not ignored[place] and partner_of_truth[place] == UNMATCHED]
        # Of equal IoUs the last truth wins, as in pycocotools.
        best = max(free, key=lambda place: (row[place], place), default=UNMATCHED)
        if best != UNMATCHED:
            partner_of_truth[best] = index
        partner.append(best)
        excused.append(best == UNMATCHED and any(ignored[place] for place in fits))
    return Matching(
        torch.tensor(partner, dtype=torch.int64),
        torch.tensor(partner_of_truth, dtype=torch.int64),
        torch.tensor(excused, dtype=torch.bool),
    )
