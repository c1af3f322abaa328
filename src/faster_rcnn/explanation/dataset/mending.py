"""Detections of an image with one kind of error mended, such that AP cannot fall at any IoU threshold.

A detection *counts* for a truth where COCO's matching at an IoU of 0.5, over all scores, gives it to that truth. What
is mended never leaves behind a detection that was right before at some IoU threshold of AP, 0.5 to 0.95:

* A truth that is to be found gets a perfect detection of the highest rank. It replaces the detection that counts for
  the truth, or else the best one that lies loosely on it, which would be a false positive beside it.
* A false positive is removed. Where it lies on the truth that another detection counts for, that other detection gets
  the better box of the two, since the false one may be the right one at higher thresholds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from faster_rcnn.explanation.causes.false_positives import BACKGROUND_IOU, FalsePositive
from faster_rcnn.explanation.causes.matching import UNMATCHED, Matching, match_detections
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import Detections, GroundTruth

COUNTS_FROM = 0.5
"""The lowest IoU threshold of AP (COCO)."""
FIRST = 2.0
"""A score above all scores of a detector: it ranks first."""


@dataclass(frozen=True, slots=True, eq=False)
class Mending:
    """The detections of an image, its truth, and which detection counts for which truth."""

    detections: Detections
    truth: GroundTruth
    matching: Matching
    ious: Float[Tensor, "detections truths"]
    """0 between different classes, and for ignored truths."""

    @staticmethod
    def of(detections: Detections, truth: GroundTruth) -> Mending:
        """Match all detections of an image, best first, with its truth; both in pixels of the image, on the CPU."""
        ious = iou(detections.boxes.double(), truth.boxes.double())  # (D, T)
        other = (detections.labels[:, None] != truth.labels) | truth.ignored
        matching = match_detections(detections, truth, COUNTS_FROM)
        return Mending(detections, truth, matching, ious.masked_fill(other, 0))

    def stand_ins(self) -> dict[int, int]:
        """For each truth, the detection that gives way to a perfect one: the one that counts, else the best loose one.

        Truths on which no detection lies are left out.
        """
        chosen: dict[int, int] = {}
        for place, truth in enumerate(self.matching.truths.tolist()):
            row = self.ious[place]
            loose = truth == UNMATCHED and len(row) and BACKGROUND_IOU <= float(row.max()) < COUNTS_FROM
            on = int(row.argmax()) if loose else truth
            if on != UNMATCHED and (truth != UNMATCHED or int(self.matching.detections[on]) == UNMATCHED):
                chosen.setdefault(on, place)
        return chosen

    def with_found(self, wanted: Collection[int], stand_ins: Mapping[int, int]) -> Detections:
        """The detections with a perfect one, ranked first, of each truth of ``wanted``, given by index."""
        removed = [stand_ins[each] for each in wanted if each in stand_ins]
        kept = torch.ones(len(self.detections), dtype=torch.bool)
        kept[removed] = False
        rows = torch.tensor(sorted(wanted), dtype=torch.int64)
        return Detections(
            torch.cat([self.truth.boxes[rows], self.detections.boxes[kept]]),
            torch.cat([torch.full((len(rows),), FIRST), self.detections.scores[kept]]),
            torch.cat([self.truth.labels[rows], self.detections.labels[kept]]),
        )

    def without(self, false: Collection[FalsePositive]) -> Detections:
        """The detections without false positives, which are given by their index among all detections."""
        boxes, kept = self.detections.boxes.clone(), torch.ones(len(self.detections), dtype=torch.bool)
        best: dict[int, float] = {}
        for each in (one for one in false if int(self.matching.truths[one.detection]) == UNMATCHED):
            kept[each.detection] = False
            row = self.ious[each.detection]
            on = int(row.argmax()) if len(row) else UNMATCHED
            owner = UNMATCHED if on == UNMATCHED else int(self.matching.detections[on])
            if owner == UNMATCHED or float(row[on]) < COUNTS_FROM:
                continue
            if float(row[on]) > best.setdefault(owner, float(self.ious[owner, on])):
                boxes[owner], best[owner] = self.detections.boxes[each.detection], float(row[on])
        return Detections(boxes[kept], self.detections.scores[kept], self.detections.labels[kept])

    def with_true_boxes(self) -> Detections:
        """The detections, the best one on each truth with the truth's box.

        Detections, best first, each take the free truth of their class with the highest IoU, if that is no background.
        """
        boxes, free = self.detections.boxes.clone(), ~self.truth.ignored.clone()
        for place in range(len(self.detections)):
            row = self.ious[place].where(free, -1)
            if not len(row) or bool(self.matching.excused[place]):
                continue
            on = int(row.argmax())
            if float(row[on]) >= BACKGROUND_IOU:
                boxes[place], free[on] = self.truth.boxes[on], False
        return Detections(boxes, self.detections.scores, self.detections.labels)
