"""The truth of a split in the labels of a detector: classes are the same where their names are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from faster_rcnn.data.records import ImageRecord, Split, with_truths
from faster_rcnn.errors import ModelFileError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap, Detections
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, slots=True, eq=False)
class JudgedSplit:
    """A split whose truths have the labels of a detector."""

    split: Split
    """Without the truths of classes that the detector lacks; its classes that the data lacks are holes."""
    unknown: Mapping[str, int]
    """Number of truths that cannot be judged, by class: the detector lacks these classes."""

    @property
    def shared(self) -> Bool[Tensor, " classes"]:
        """Whether the data has the class of each of the detector's labels."""
        return torch.tensor([name is not None for name in self.split.classes.names], dtype=torch.bool)

    @property
    def notes(self) -> tuple[str, ...]:
        """A line about truths that cannot be judged, if there are any."""
        if not self.unknown:
            return ()
        truths = count_of(sum(self.unknown.values()), "truth")
        listed = first_of([f"{name} ({count})" for name, count in self.unknown.items()])
        lacking = count_of(len(self.unknown), "class", "classes")
        return (f"the detector lacks {lacking} of the data, so {truths} cannot be judged: {listed}",)

    def known(self, detections: Detections) -> Detections:
        """The detections without those of classes that the data lacks, as in every metric."""
        return detections[torch.nonzero(self.shared[detections.labels])[:, 0]]


def in_labels_of(split: Split, detector: ClassMap, model: str) -> JudgedSplit:
    """Convert the labels of a split to those of a detector; ``model`` names the detector in messages.

    Raises ``ModelFileError`` (E123) where the two have no class in common.
    """
    label_of = {name: label for label, name in enumerate(detector.names) if name is not None}
    to_label = torch.tensor([label_of.get(name or "", -1) for name in split.classes.names], dtype=torch.int64)
    if not (to_label >= 0).any():
        raise ModelFileError(
            f"{model} and {split.name} have no class in common, so nothing can be judged: the detector has "
            f"{first_of(list(label_of))}; the data has {first_of([name for name in split.classes.names if name])}. A "
            f"detector of these classes comes from: faster-rcnn train DATA --weights {model}",
            code="E123",
        )
    unknown = Counter[str]()
    for record in split.records:
        lost = record.truth.labels[(to_label[record.truth.labels] < 0) & ~record.truth.ignored]
        unknown.update(split.classes.name_of(label) for label in lost.tolist())
    records = tuple(_with_labels(record, to_label) for record in split.records)
    return JudgedSplit(replace(split, records=records, classes=_shared_classes(detector, split.classes)), unknown)


def _with_labels(record: ImageRecord, to_label: Int[Tensor, " classes"]) -> ImageRecord:
    labels = to_label[record.truth.labels]
    return with_truths(record, labels >= 0, labels[labels >= 0])


def _shared_classes(detector: ClassMap, data: ClassMap) -> ClassMap:
    """The detector's labels with the ids of the data; labels that the data lacks have no name, and new ids."""
    ids = dict(zip(data.names, data.ids, strict=True))
    names = tuple(name if name is not None and name in ids else None for name in detector.names)
    free = max(data.ids, default=0) + 1
    return ClassMap(names, tuple(free + label if name is None else ids[name] for label, name in enumerate(names)))
