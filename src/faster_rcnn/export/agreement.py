"""A file in bfloat16 or int8 agrees with its detector in float32 on what that is sure of.

Such a file cannot find the same to the last digit, as ``verification`` asks of float32. But what one side finds with a
high score the other side finds, too, at about the same place: boxes that overlap, with the same label and a score that
is near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from faster_rcnn.export.verification import batches_of, images_of, in_batches
from faster_rcnn.inference.exported import ExportedDetector
from faster_rcnn.inference.loading import ready_detector
from faster_rcnn.ops.boxes import iou
from faster_rcnn.structures import Detections, ImageSize
from faster_rcnn.weights.model_file import LoadedModel

SURE = 0.5
"""Score from which on a detection has to be found by the other side."""
MIN_IOU, MAX_SCORE = 0.5, 0.2
"""IoU of two boxes, and difference of their scores, up to which they are the same detection."""
MIN_SHARE = 0.9
"""Share of the sure detections of both sides that the other side finds: some are near a threshold of NMS."""


@dataclass(slots=True)
class Agreement:
    """What the comparison of many images found."""

    sure: int = 0
    """Detections of both sides with a score of at least ``SURE``."""
    shared: int = 0
    """Those of them that the other side finds, too."""
    images: int = 0
    batches: set[int] = field(default_factory=set)

    @property
    def is_good(self) -> bool:
        """Whether the file may be used; where neither side is sure of anything, nothing is known."""
        return self.sure > 0 and self.shared >= MIN_SHARE * self.sure

    def __str__(self) -> str:
        """One line for a user."""
        batches = ", ".join(map(str, sorted(self.batches)))
        rule = f"IoU at least {MIN_IOU}, scores within {MAX_SCORE}; {MIN_SHARE:.0%} have to be"
        if not self.sure:
            return f"nothing in {self.images} images has a score of {SURE}: give --images with objects"
        return (
            f"{self.images} images in batches of {batches}: {self.shared} of {self.sure} detections with a score of at "
            f"least {SURE} are found on both sides ({rule})"
        )


def agreement_of(
    loaded: LoadedModel,
    exported: ExportedDetector,
    sizes: Sequence[ImageSize],
    given: Sequence[Tensor],
) -> Agreement:
    """Compare a file with its detector in float32, on a blank image, noise and the ``given`` ones."""
    exact, found = ready_detector(loaded, "float32", "cpu"), Agreement()
    for size in sizes:
        images = images_of(size, given)
        expected = [exact.detect([each])[0] for each in images]
        for count in batches_of(exported):
            found.batches.add(count)
            for one, other in zip(in_batches(exported, images, count), expected, strict=True):
                add_agreement(found, one, other)
    return found


def add_agreement(found: Agreement, one: Detections, other: Detections) -> None:
    """Add two results of one image to ``found``, each side compared with the other."""
    found.images += 1
    for own, others in ((one, other), (other, one)):
        sure = own[own.scores >= SURE]
        found.sure += len(sure)
        found.shared += int(_is_found(sure, others).sum())


def _is_found(sure: Detections, others: Detections) -> Tensor:
    """Whether each detection has one among the others that is the same, (sure,)."""
    same = (
        (iou(sure.boxes, others.boxes) >= MIN_IOU)
        & (sure.labels[:, None] == others.labels)
        & ((sure.scores[:, None] - others.scores).abs() <= MAX_SCORE)
    )
    return same.any(dim=1)
