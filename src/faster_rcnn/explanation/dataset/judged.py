"""Judged images as values: small numbers of each image of a split, without features and pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from faster_rcnn.data.records import ImageRecord
from faster_rcnn.explanation.causes.false_positives import FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict
from faster_rcnn.explanation.dataset.attributes import Attributes
from faster_rcnn.explanation.dataset.labels import Neighbour
from faster_rcnn.explanation.dataset.oracles import OracleDetections
from faster_rcnn.structures import Detections


@dataclass(frozen=True, slots=True)
class JudgedTruth:
    """One truth with what became of it."""

    verdict: Verdict
    attributes: Attributes


@dataclass(frozen=True, slots=True, eq=False)
class JudgedImage:
    """One image of a split: its truth, its detections, and the verdicts on both."""

    record: ImageRecord
    """The truth has the labels of the detector."""
    detections: Detections
    """All detections, whatever their score, best first, in pixels of the image; on the CPU."""
    truths: tuple[JudgedTruth, ...]
    """One for each truth that is not ignored; ``verdict.truth`` is its index in ``record.truth``."""
    false_positives: tuple[FalsePositive, ...]
    """Among the detections of at least the threshold of scores."""
    oracles: OracleDetections
    """What the detector finds with perfect proposals or perfect classes."""
    neighbours: Mapping[int, tuple[Neighbour, ...]] = field(default_factory=dict)
    """The nearest training regions of each probable missing label, by the index of its detection."""
