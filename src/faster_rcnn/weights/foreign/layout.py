"""The description of a detector of another project: our settings for it and the mapping of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from faster_rcnn.settings.schema import Config
from faster_rcnn.structures import ClassMap

Rules = tuple[tuple[str, str], ...]
"""Pairs of prefixes of tensor names, theirs and ours; the first pair that fits is used, in both directions."""

Convert = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""A function from tensors by name to tensors by name."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A detector of another project: our settings for it, the names of its tensors, and the order of their rows."""

    config: Callable[[], Config]
    """Returns our settings of the detector."""
    with_current_names: Convert
    """Upgrades the project's older tensor names, and drops tensors that our detector does not need."""
    to_ours: Convert
    """Converts the project's tensors, under their current names, to ours."""
    to_theirs: Convert
    """Converts our tensors to the project's, in the same order."""
    class_scores: str | None
    """Name of the project's tensor with one row per class and one for background; ``None`` for a first stage alone."""
    classes: Callable[[], ClassMap]
    """Returns the classes of the weights that the project publishes."""
    read_settings: Callable[[Path | str, Mapping[str, Tensor], Config], Config]
    """Replaces settings by those that a file holds among the tensors that ``with_current_names`` drops."""


def renamed(name: str, rules: Rules) -> str:
    """Replace the prefix of a tensor's name by the first rule that fits; a name that fits no rule stays as it is."""
    for old, new in rules:
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def reversed_rules(rules: Rules) -> Rules:
    """Swap the two sides of every rule."""
    return tuple((new, old) for old, new in rules)
