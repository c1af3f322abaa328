"""A detector's classes and those of the data it is measured on: the same ones have the same name."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap, Detections


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """From a detector's labels to the data's."""

    labels: Int[Tensor, " classes"]
    """The data's label of each of the detector's; 0 where it has none."""
    shared: Bool[Tensor, " classes"]
    """Which of the detector's labels the data has."""
    notes: tuple[str, ...]

    @staticmethod
    def between(known: ClassMap, wanted: ClassMap, model: str, data: str) -> Translation:
        """By name, from what the detector knows to what is wanted; ``model`` and ``data`` name them in messages.

        Raises:
            ModelFileError: a class of the data is none of the detector's.
        """
        known_names, labels_by_name = set(known.names), {name: label for label, name in enumerate(wanted.names)}
        strange = [name for name in wanted.names if name is not None and name not in known_names]
        if strange:
            raise ModelFileError(
                f"{model} does not know {_count(len(strange))} of {data}: {first_of(strange)}. It knows "
                f"{_listed(known)}; the data has {_listed(wanted)}. A detector of these classes comes from: "
                f"faster-rcnn train DATA --weights {model}",
                code="E123",
            )
        shared = [name is not None and name in labels_by_name for name in known.names]
        labels = [labels_by_name[name] if has else 0 for name, has in zip(known.names, shared, strict=True)]
        return Translation(
            torch.tensor(labels, dtype=torch.int64), torch.tensor(shared, dtype=torch.bool), _notes(known, wanted)
        )

    def translate(self, detections: Detections) -> Detections:
        """The detections with the data's labels, without those of classes that the data does not have."""
        kept = self.shared[detections.labels]
        labels = self.labels[detections.labels[kept]]
        return Detections(detections.boxes[kept], detections.scores[kept], labels)


def _notes(known: ClassMap, wanted: ClassMap) -> tuple[str, ...]:
    notes = []
    wanted_names = set(wanted.names)
    extra = [name for name in known.names if name is not None and name not in wanted_names]
    if extra:
        notes.append(
            f"the detector knows {_count(len(extra))} that the data does not have; what it finds of them is left out: "
            f"{first_of(extra)}"
        )
    ids = dict(zip(known.names, known.ids, strict=True))
    moved = [
        f"{name} {ids[name]} -> {number}"
        for name, number in zip(wanted.names, wanted.ids, strict=True)
        if ids[name] != number
    ]
    if moved:
        notes.append(f"class ids differ between detector and data, so classes are told by name: {first_of(moved)}")
    return tuple(notes)


def _listed(classes: ClassMap) -> str:
    names = [name for name in classes.names if name is not None]
    return f"{_count(len(names))} ({first_of(names, 10)})"


def _count(number: int) -> str:
    return f"{number} class{'' if number == 1 else 'es'}"
