"""Mapping between the classes of a detector and those of the data, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap, Detections
from faster_rcnn.system.wording import count_of


@dataclass(frozen=True, slots=True, eq=False)
class ClassMapping:
    """Maps a detector's labels to those of the data."""

    labels: Int[Tensor, " classes"]
    """The data's label for each label of the detector; 0 where the data has no such class."""
    shared: Bool[Tensor, " classes"]
    """Whether the data has the class of each of the detector's labels."""
    notes: tuple[str, ...]
    """Lines about classes of the detector that the data lacks, and about ids that differ."""

    @staticmethod
    def between(detector: ClassMap, data: ClassMap, model: str, split: str) -> ClassMapping:
        """Map classes of the same name; ``model`` and ``split`` name both sides in messages.

        Raises:
            ModelFileError: the detector lacks a class of the data (E123).
        """
        detector_names, labels_by_name = set(detector.names), {name: label for label, name in enumerate(data.names)}
        missing = [name for name in data.names if name is not None and name not in detector_names]
        if missing:
            raise ModelFileError(
                f"{model} lacks {_classes(len(missing))} of {split}: {first_of(missing)}. It has {_listed(detector)}; "
                f"the data has {_listed(data)}. A detector of these classes comes from: faster-rcnn train DATA "
                f"--weights {model}",
                code="E123",
            )
        shared = [name is not None and name in labels_by_name for name in detector.names]
        labels = [labels_by_name[name] if has else 0 for name, has in zip(detector.names, shared, strict=True)]
        return ClassMapping(
            torch.tensor(labels, dtype=torch.int64), torch.tensor(shared, dtype=torch.bool), _notes(detector, data)
        )

    def apply(self, detections: Detections) -> Detections:
        """The detections with the data's labels and their origins, without those of classes that the data lacks."""
        kept = detections[self.shared[detections.labels]]
        return replace(kept, labels=self.labels[kept.labels])


def _notes(detector: ClassMap, data: ClassMap) -> tuple[str, ...]:
    notes = []
    data_names = set(data.names)
    extra = [name for name in detector.names if name is not None and name not in data_names]
    if extra:
        notes.append(
            f"the detector has {_classes(len(extra))} that the data lacks; their detections are left out: "
            f"{first_of(extra)}"
        )
    ids = dict(zip(detector.names, detector.ids, strict=True))
    moved = [
        f"{name} {ids[name]} -> {number}"
        for name, number in zip(data.names, data.ids, strict=True)
        if ids[name] != number
    ]
    if moved:
        notes.append(f"class ids differ between detector and data, so classes are matched by name: {first_of(moved)}")
    return tuple(notes)


def _listed(classes: ClassMap) -> str:
    names = [name for name in classes.names if name is not None]
    return f"{_classes(len(names))} ({first_of(names, 10)})"


def _classes(number: int) -> str:
    return count_of(number, "class", "classes")
