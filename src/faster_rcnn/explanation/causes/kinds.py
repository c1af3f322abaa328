"""Verdicts as values: the kinds in the order of the stages, the numbers that failed, and the truth in question."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from faster_rcnn.explanation.record.lives import Life
from faster_rcnn.inference.limits import refuse_share
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import GroundTruth


class VerdictKind(StrEnum):
    """What became of a truth, in the order of the stages."""

    NO_ANCHOR = "no-anchor"
    """No anchor's IoU with it reaches ``rpn.negative_iou``, and no proposal was made for it."""
    NO_PROPOSAL = "no-proposal"
    """No external proposal lies on it."""
    LOW_OBJECTNESS = "low-objectness"
    """The first stage ranks its anchors beyond ``proposals_before_nms`` or ``proposals_after_nms``."""
    SUPPRESSED_PROPOSAL = "suppressed-proposal"
    """NMS of the first stage removed its proposals in favour of a neighbour's."""
    BACKGROUND = "background"
    """The second stage takes its regions for background."""
    OTHER_CLASS = "other-class"
    """The second stage takes its regions for another class."""
    LOOSE_BOX = "loose-box"
    """No box of its class is close enough after both transforms."""
    SMALL_BOX = "small-box"
    """Its boxes are smaller than ``min_side``."""
    SUPPRESSED_DETECTION = "suppressed-detection"
    """NMS of the second stage, or the merging of tiles, removed its detection in favour of a neighbour's."""
    SHARED_DETECTION = "shared-detection"
    """The only detections on it count for a neighbour of its class."""
    MAX_DETECTIONS = "max-detections"
    """Its detection is beyond ``roi.max_detections``."""
    LOW_SCORE = "low-score"
    """Its detection scores below the threshold."""
    FOUND = "found"


ORDER = tuple(VerdictKind)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one truth, and the way that came furthest."""

    truth: int
    """Index of the truth in the recording."""
    label: int
    kind: VerdictKind
    life: Life | None
    """The life of its detection, or of the box that came furthest; ``None`` where nothing came near it."""
    value: float | None = None
    """The number that failed."""
    limit: float | None = None
    """The number that it would have had to reach, or not to exceed."""
    setting: str | None = None
    """The setting, or the option ``conf``, that holds the limit; ``None`` where no setting does."""
    suppressor: Life | None = None
    """The life of the box in whose favour NMS removed this one."""
    detection: int | None = None
    """Index in ``recording.detections`` of the detection that counts for it."""

    @property
    def missed(self) -> bool:
        """Whether the truth was not found."""
        return self.kind != VerdictKind.FOUND


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The numbers by which a detection counts for a truth."""

    conf: float
    """Lowest score of a detection that is reported."""
    iou: float = 0.5
    """Lowest IoU of a box with the truth that it counts for."""

    def refuse_senseless(self) -> None:
        """Raise ``OptionError`` (E125) where a threshold is not in 0..1."""
        refuse_share("conf", self.conf, "scores are")
        refuse_share("iou_threshold", self.iou, "IoUs are")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One truth among those of its image."""

    index: int
    truth: GroundTruth
    thresholds: Thresholds

    @property
    def label(self) -> int:
        """Its class, as a label of the detector."""
        return int(self.truth.labels[self.index])

    @property
    def box(self) -> Float[Tensor, "1 4"]:
        """Its box, in pixels of the image."""
        return self.truth.boxes[self.index : self.index + 1]

    def iou_with(self, boxes: Float[Tensor, "boxes 4"]) -> Float[Tensor, " boxes"]:
        """IoU of boxes, in pixels of the image, with this truth; computed on the CPU in double precision."""
        return iou(boxes.double().cpu(), self.box.double())[:, 0]

    def is_nearest_to(self, boxes: Float[Tensor, "boxes 4"]) -> Bool[Tensor, " boxes"]:
        """Whether a detection of each box would rather count for this truth than for another of its class.

        That is the truth with the highest IoU; of equal ones the last, as in ``match_detections``.
        """
        same = torch.nonzero((self.truth.labels == self.label) & ~self.truth.ignored)[:, 0]  # (S,)
        ious = iou(boxes.double().cpu(), self.truth.boxes[same].double())  # (boxes, S)
        return same[ious.shape[1] - 1 - ious.flip(1).argmax(dim=1)] == self.index


def lost(
    question: Question,
    kind: VerdictKind,
    life: Life | None,
    value: float,
    limit: float,
    setting: str | None,
    suppressor: Life | None = None,
) -> Verdict:
    """The verdict on a truth that was lost, in the words of ``Verdict``."""
    return Verdict(question.index, question.label, kind, life, value, limit, setting, suppressor)


def shorter_side(box: Float[Tensor, " corners"]) -> float:
    """The shorter side of a box."""
    x1, y1, x2, y2 = box.tolist()
    return float(min(x2 - x1, y2 - y1))
