"""Initialisation from a trained detector: tensors that fit are copied, and classes are matched by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from faster_rcnn.errors import ModelFileError
from faster_rcnn.model import FasterRCNN
from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import LoadedModel, stored_tensors

CLASS_SCORES = ("roi.classes.weight", "roi.classes.bias")
"""Tensors with one row per class; the last row is background's."""

CLASS_DELTAS = ("roi.deltas.weight", "roi.deltas.bias")
"""Tensors with four rows per class, or four rows for all classes (roi.class_agnostic)."""

MIN_BACKBONE_SHARE = 0.9
"""Share of the backbone's numbers that must fit. Below it the detectors are of different kinds, and training would
start from random features unnoticed."""


def load_for_finetuning(model: FasterRCNN, config: Config, classes: ClassMap, start: LoadedModel) -> str:
    """Copy the tensors of a trained detector that fit into a new one; returns a line that states the shares copied.

    Tensors of the same name and shape are copied. Classes of the same name keep their rows of the last layers, whatever
    their labels; the rows of other classes keep their new values. Raises ``ModelFileError`` (E123) where less than 90 %
    of the backbone fits; then nothing is copied.
    """
    new, old = stored_tensors(model), stored_tensors(start.model)
    rows = _Rows(classes, start.classes)
    merged = {name: rows.merge(name, tensor, old.get(name)) for name, tensor in new.items()}
    backbone = _share(new, merged, "backbone.")
    if backbone < MIN_BACKBONE_SHARE:
        raise ModelFileError(
            f"only {backbone:.0%} of the backbone ({config.backbone.body}) can start from these weights "
            f"({start.config.backbone.body}); nothing was loaded. Choose the same with --model {start.config.preset}",
            code="E123",
        )
    model.load_state_dict({name: each.tensor for name, each in merged.items()}, strict=False)
    shares = [
        f"{_share(new, merged, prefix):.0%} of the {part}"
        for prefix, part in (("backbone.", "backbone"), ("rpn.", "first stage"), ("roi.", "second stage"))
        if any(name.startswith(prefix) for name in new)
    ]
    kept = ", ".join(rows.kept) or "none"
    added = ", ".join(rows.added) or "none"
    return f"weights taken over: {', '.join(shares)}; classes kept: {kept}; new: {added}"


@dataclass(frozen=True, slots=True, eq=False)
class _Merged:
    """A tensor of the new detector after copying."""

    tensor: Tensor
    copied: int
    """How many of its numbers come from the trained detector."""


class _Rows:
    """The rows of the last layers that belong to the same class in the new and in the trained detector."""

    def __init__(self, new: ClassMap, old: ClassMap) -> None:
        labels = {name: label for label, name in enumerate(old.names) if name is not None}
        pairs = [(label, labels[name]) for label, name in enumerate(new.names) if name in labels]
        self.kept = [new.name_of(label) for label, _ in pairs]
        self.added = [name for name in new.names if name is not None and name not in labels]
        self._pairs = pairs
        self._background = (len(new), len(old))

    def merge(self, name: str, new: Tensor, old: Tensor | None) -> _Merged:
        """A tensor of the new detector, with the values of the trained one where both correspond."""
        if old is None:
            return _Merged(new, 0)
        if name in CLASS_SCORES:
            return _merge_rows(new, old, [*self._pairs, self._background])
        if name in CLASS_DELTAS and (len(new), len(old)) == tuple(4 * each for each in self._background):
            return _merge_rows(
                new, old, [(to * 4 + side, by * 4 + side) for to, by in self._pairs for side in range(4)]
            )
        return _Merged(old, old.numel()) if new.shape == old.shape else _Merged(new, 0)


def _merge_rows(new: Tensor, old: Tensor, pairs: list[tuple[int, int]]) -> _Merged:
    if new.shape[1:] != old.shape[1:] or not pairs:
        return _Merged(new, 0)
    to, by = torch.tensor(pairs).unbind(dim=1)
    merged = new.clone()
    merged[to] = old[by]
    return _Merged(merged, old[by].numel())


def _share(new: Mapping[str, Tensor], merged: Mapping[str, _Merged], part: str) -> float:
    """Share of the numbers of a part that come from the trained detector, 0..1."""
    names = [name for name in new if name.startswith(part)]
    return sum(merged[name].copied for name in names) / sum(new[name].numel() for name in names)
