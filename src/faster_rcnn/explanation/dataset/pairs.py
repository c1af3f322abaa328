"""What two detectors did with the same images, on the classes that both know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from faster_rcnn.data.records import ImageRecord, with_truths
from faster_rcnn.explanation.causes.kinds import Verdict
from faster_rcnn.explanation.dataset.judged import JudgedImage, JudgedTruth
from faster_rcnn.explanation.record.lives import Corners, corners
from faster_rcnn.structures import ClassMap, Detections


@dataclass(frozen=True, slots=True)
class TruthPair:
    """One truth with its verdict by each of two detectors."""

    image: int
    """Index of the image among the common ones."""
    class_name: str
    box: Corners
    before: Verdict
    """By the first detector; indices and labels are those of its own survey."""
    after: Verdict
    """By the second detector."""

    @property
    def gained(self) -> bool:
        """Whether only the second detector finds it."""
        return self.before.missed and not self.after.missed

    @property
    def lost(self) -> bool:
        """Whether only the first detector finds it."""
        return self.after.missed and not self.before.missed


@dataclass(frozen=True, slots=True, eq=False)
class CommonImages:
    """The images that two detectors judged, without the classes that one of them lacks."""

    classes: ClassMap
    """The classes of the truths and detections here."""
    records: tuple[ImageRecord, ...]
    before: tuple[Detections, ...]
    """All detections of the first detector, for each image, best first."""
    after: tuple[Detections, ...]
    """Those of the second detector."""
    pairs: tuple[TruthPair, ...]
    """One for each truth that is not ignored, image by image."""
    left_out: int
    """Number of images that only one of the detectors could judge."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedBy:
    """The images that one detector judged, and the names of its labels."""

    images: Sequence[JudgedImage]
    classes: ClassMap


def common_to(before: JudgedBy, after: JudgedBy) -> CommonImages:
    """Bring together what two detectors did with the images of one split.

    Images are the same where their paths are, classes where their names are.
    """
    shared = [name for name in after.classes.names if name is not None and name in before.classes.names]
    ids = dict(zip(after.classes.names, after.classes.ids, strict=True))
    classes = ClassMap(tuple(shared), tuple(ids[name] for name in shared))
    of_path = {image.record.path: image for image in before.images}
    both = [(of_path[image.record.path], image) for image in after.images if image.record.path in of_path]
    to_before, to_after = (_places(side.classes, shared) for side in (before, after))
    pairs = [
        TruthPair(place, after.classes.name_of(now.verdict.label), _box(image, now), was.verdict, now.verdict)
        for place, (old, image) in enumerate(both)
        for was, now in zip(_known(old, to_before), _known(image, to_after), strict=True)
    ]
    return CommonImages(
        classes=classes,
        records=tuple(_record(image.record, to_after) for _, image in both),
        before=tuple(_detections(old.detections, to_before) for old, _ in both),
        after=tuple(_detections(image.detections, to_after) for _, image in both),
        pairs=tuple(pairs),
        left_out=len(before.images) + len(after.images) - 2 * len(both),
    )


def _places(classes: ClassMap, shared: Sequence[str]) -> Mapping[int, int]:
    """The common label of each of a detector's labels that has one."""
    return {label: shared.index(name) for label, name in enumerate(classes.names) if name in shared}


def _known(image: JudgedImage, places: Mapping[int, int]) -> list[JudgedTruth]:
    return [truth for truth in image.truths if truth.verdict.label in places]


def _box(image: JudgedImage, truth: JudgedTruth) -> Corners:
    return corners(image.record.truth.boxes[truth.verdict.truth])


def _record(record: ImageRecord, places: Mapping[int, int]) -> ImageRecord:
    rows, labels = _kept(record.truth.labels.tolist(), places)
    return with_truths(record, rows, labels)


def _detections(found: Detections, places: Mapping[int, int]) -> Detections:
    rows, labels = _kept(found.labels.tolist(), places)
    return replace(found[rows], labels=labels)


def _kept(labels: Sequence[int], places: Mapping[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The rows of common classes, and their common labels."""
    rows = [row for row, label in enumerate(labels) if label in places]
    return torch.tensor(rows, dtype=torch.int64), torch.tensor([places[labels[row]] for row in rows], dtype=torch.int64)
