"""What there is to know of another project's detector before its tensors can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap

Rules = tuple[tuple[str, str], ...]
"""Beginnings of tensor names, theirs and ours; the first that fits counts, in both directions."""

Convert = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""From tensors by name to tensors by name."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One detector of another project: our settings for it, its names, and the order of its rows."""

    config: Callable[[], Config]
    current: Convert
    """Their tensors under the names of today, without those that a detector does not need."""
    to_ours: Convert
    """Their tensors, under the names of today, as ours."""
    to_theirs: Convert
    """Our tensors as theirs, in the same order."""
    class_scores: str | None
    """Their tensor with a row for every class and one for background; None for a first stage alone."""
    classes: Callable[[], ClassMap]
    """Of the weights that the project publishes."""
    read_settings: Callable[[Path | str, Mapping[str, Tensor], Config], Config]
    """Settings that a file holds itself, among the tensors that ``current`` leaves out, in the place of our own."""


def renamed(name: str, rules: Rules) -> str:
    """A tensor's name after the first rule that fits; as it is where none does."""
    for old, new in rules:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def turned(rules: Rules) -> Rules:
    """The same rules in the other direction."""
    return tuple((new, old) for old, new in rules)
