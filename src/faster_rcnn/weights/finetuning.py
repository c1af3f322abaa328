"""Starting from a trained detector: what fits is copied, classes are recognised by their names."""

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
"""One row per class, and the last one for background."""

CLASS_DELTAS = ("roi.deltas.weight", "roi.deltas.bias")
"""Four rows per class, or four for all of them (roi.class_agnostic)."""

LEAST_OF_BACKBONE = 0.9
"""Below this the detectors are of different kinds, and training would start from random features unnoticed."""


def load_for_finetuning(model: FasterRCNN, config: Config, classes: ClassMap, start: LoadedModel) -> str:
    """Copy into a new detector what fits of a trained one; returns a line that says how much that was.

    Tensors of the same name and shape are copied. Classes of the same name keep what was learnt of them, whatever
    their number; the others stay as they are, new. Raises ``ModelFileError`` where less than 90 % of the backbone
    fits; then nothing is copied.
    """
    new, old = stored_tensors(model), stored_tensors(start.model)
    rows = _Rows(classes, start.classes)
    merged = {name: rows.merge(name, tensor, old.get(name)) for name, tensor in new.items()}
    backbone = _share(new, merged, "backbone.")
    if backbone < LEAST_OF_BACKBONE:
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
    tensor: Tensor
    taken: int
    """How many of its numbers come from the trained detector."""


class _Rows:
    """Which rows of the last layers belong to which classes, here and in the trained detector."""

    def __init__(self, new: ClassMap, old: ClassMap) -> None:
        labels = {name: label for label, name in enumerate(old.names) if name is not None}
        pairs = [(label, labels[name]) for label, name in enumerate(new.names) if name in labels]
        self.kept = [new.name_of(label) for label, _ in pairs]
        self.added = [name for name in new.names if name is not None and name not in labels]
        self._pairs = pairs
        self._background = (len(new), len(old))

    def merge(self, name: str, new: Tensor, old: Tensor | None) -> _Merged:
        """A tensor of the new detector with everything in it that the old one knows."""
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
    """The share of a part's numbers that come from the trained detector, 0..1."""
    names = [name for name in new if name.startswith(part)]
    return sum(merged[name].taken for name in names) / sum(new[name].numel() for name in names)
