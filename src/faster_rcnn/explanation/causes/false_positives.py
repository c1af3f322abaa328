"""The kind of each reported detection that counts for no truth, with the name that TIDE gives it.

TIDE (Bolya et al., arXiv 2008.08115) asks in this order: a box of the right class that is too loose, a wrong class on
a truth, a duplicate, nothing near, and both wrong and loose. A missing label is found later, by ``labels.py``: it is a
detection on background whose features resemble labelled objects of the training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch

from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import Detections, GroundTruth

BACKGROUND_IOU = 0.1
"""A detection whose IoU with every truth is at most this lies on background (TIDE, section 2.2)."""


class FalseKind(StrEnum):
    """Why a detection is false."""

    LOOSE_BOX = "loose-box"
    """It lies on a truth of its class, and its IoU is too low."""
    WRONG_CLASS = "wrong-class"
    """It lies well on a truth of another class."""
    DUPLICATE = "duplicate"
    """A better-scored detection counts for its truth already."""
    BACKGROUND = "background"
    """It lies on no truth."""
    WRONG_AND_LOOSE = "wrong-and-loose"
    """It lies on a truth of another class, and its IoU is too low."""
    MISSING_LABEL = "missing-label"
    """It lies on no truth, and its features are those of labelled objects: the label is probably missing."""


TIDE_NAMES = {
    FalseKind.LOOSE_BOX: "Loc",
    FalseKind.WRONG_CLASS: "Cls",
    FalseKind.DUPLICATE: "Dupe",
    FalseKind.BACKGROUND: "Bkg",
    FalseKind.WRONG_AND_LOOSE: "Both",
    FalseKind.MISSING_LABEL: "Bkg",
}
"""TIDE's name of each kind; TIDE has none for a missing label."""


@dataclass(frozen=True, slots=True)
class FalsePositive:
    """One reported detection that counts for no truth."""

    detection: int
    """Index in the detections of the image."""
    label: int
    score: float
    kind: FalseKind
    truth: int | None
    """Index of the truth that it lies on; ``None`` on background."""
    iou: float
    """IoU with that truth, or the highest IoU with any truth; 0 where the image has none."""

    @property
    def tide(self) -> str:
        """TIDE's name of the kind."""
        return TIDE_NAMES[self.kind]


def false_positives(detections: Detections, truth: GroundTruth, thresholds: Thresholds) -> tuple[FalsePositive, ...]:
    """The false ones among the detections of an image whose score is reported, best first.

    Detections on ignored truths are neither right nor wrong, and are left out. Both are in pixels of the image.
    """
    reported = detections.above(thresholds.conf)
    matching = match_detections(reported, truth, thresholds.iou)
    wanted = torch.nonzero(~truth.ignored)[:, 0]  # (W,)
    ious = iou(reported.boxes.double(), truth.boxes[wanted].double())  # (D, W)
    found = []
    for index, partner in enumerate(matching.truths.tolist()):
        if partner != UNMATCHED or bool(matching.excused[index]):
            continue
        label = int(reported.labels[index])
        kind, place = _kind(ious[index].tolist(), (truth.labels[wanted] == label).tolist(), thresholds.iou)
        value = float(ious[index].max()) if place is None and len(wanted) else 0.0
        value = value if place is None else float(ious[index, place])
        on = None if place is None else int(wanted[place])
        found.append(FalsePositive(index, label, float(reported.scores[index]), kind, on, value))
    return tuple(found)


def _kind(ious: list[float], same: list[bool], threshold: float) -> tuple[FalseKind, int | None]:
    """The kind of a false detection, and the place of the truth that decides it."""
    of_class = max((place for place, own in enumerate(same) if own), key=ious.__getitem__, default=None)
    of_other = max((place for place, own in enumerate(same) if not own), key=ious.__getitem__, default=None)
    near = 0.0 if of_class is None else ious[of_class]
    cross = 0.0 if of_other is None else ious[of_other]
    if BACKGROUND_IOU <= near < threshold:
        return FalseKind.LOOSE_BOX, of_class
    if cross >= threshold:
        return FalseKind.WRONG_CLASS, of_other
    if near >= threshold:
        return FalseKind.DUPLICATE, of_class
    if max(near, cross) <= BACKGROUND_IOU:
        return FalseKind.BACKGROUND, None
    return FalseKind.WRONG_AND_LOOSE, of_other
