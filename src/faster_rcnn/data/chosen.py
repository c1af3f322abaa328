"""Labelled images with the objects of some classes only, for measuring these classes alone."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

import torch

from faster_rcnn.data.records import Split, with_truths
from faster_rcnn.errors import OptionError
from faster_rcnn.parsing.values import first_of
from faster_rcnn.structures import ClassMap


def split_of_classes(split: Split, names: Set[str]) -> Split:
    """The split without the objects of other classes; labels stay, and those of other classes have no name.

    Raises ``OptionError`` for a class that the data lacks (E125).
    """
    known = [name for name in split.classes.names if name is not None]
    for name in sorted(names):
        if name not in known:
            raise OptionError(f"classes: {split.name} has no class '{name}'; it has {first_of(known, 10)}", code="E125")
    kept = tuple(name if name in names else None for name in split.classes.names)
    chosen = torch.tensor([name is not None for name in kept], dtype=torch.bool)
    records = tuple(with_truths(record, chosen[record.truth.labels]) for record in split.records)
    return replace(split, classes=ClassMap(kept, split.classes.ids), records=records)
