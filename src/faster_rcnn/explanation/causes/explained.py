"""A recorded image with everything that follows from its record: the fates, the verdicts, the false positives.

``Trace`` is this value with the methods of the Python API; advice, pictures and pages are made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from faster_rcnn.errors import OptionError
from faster_rcnn.explanation.causes.false_positives import FalsePositive, false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict
from faster_rcnn.explanation.causes.verdicts import verdicts_on
from faster_rcnn.explanation.record.lives import Life, PartFates, fates_of, life_of_detection
from faster_rcnn.explanation.record.recording import Recording
from faster_rcnn.structures import ClassMap, Detections, GroundTruth


@dataclass(frozen=True, eq=False)
class Explained:
    """The record of one image, and what follows from it, each computed when it is first asked for."""

    recording: Recording
    """Every value of the passes over the image."""
    thresholds: Thresholds
    """When a detection is reported, and when it counts for a truth."""

    @property
    def classes(self) -> ClassMap:
        """Names and ids of the labels."""
        return self.recording.classes

    @property
    def truth(self) -> GroundTruth | None:
        """In pixels of the image, with the labels of the detector; ``None`` where it is not known."""
        return self.recording.truth

    @property
    def detections(self) -> Detections:
        """The reported detections, best first, in pixels of the image; the same as those of ``predict``."""
        return self.recording.reported

    @cached_property
    def fates(self) -> tuple[PartFates, ...]:
        """What became of each anchor and of each proposal, for each part of the image."""
        return fates_of(self.recording)

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """One verdict for each truth that is not ignored; raises ``OptionError`` where the truth is not known."""
        return verdicts_on(self.recording, self.known_truth, self.thresholds, self.fates)

    @cached_property
    def false_positives(self) -> tuple[FalsePositive, ...]:
        """The reported detections that count for no truth; raises ``OptionError`` where the truth is not known."""
        return false_positives(self.recording.detections, self.known_truth, self.thresholds)

    def life(self, detection: int) -> Life:
        """The anchor, the proposal and the box of a reported detection, by its index in ``detections``."""
        return life_of_detection(self.recording, self.fates, detection)

    @property
    def known_truth(self) -> GroundTruth:
        """The truth; raises ``OptionError`` (E125) where it is not known."""
        if self.truth is None:
            raise OptionError(
                "verdicts compare detections with the ground truth, which is not known for this image; give it: "
                "detector.trace(image, truth=...)",
                code="E125",
            )
        return self.truth
