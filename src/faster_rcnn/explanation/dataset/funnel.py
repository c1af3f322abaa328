"""The funnel: how many truths each stage loses, from all truths of a split down to those that are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from faster_rcnn.explanation.causes.kinds import ORDER, VerdictKind
from faster_rcnn.explanation.dataset.attributes import GROUPS
from faster_rcnn.explanation.dataset.judged import JudgedTruth


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the funnel."""

    kind: VerdictKind
    lost: int
    """Truths that are lost here."""
    left: int
    """Truths that come further."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The verdicts on a group of truths."""

    truths: int
    kinds: Mapping[VerdictKind, int]
    """Number of truths of each verdict that occurs, in the order of the stages; they add up to ``truths``."""

    @property
    def found(self) -> int:
        """Truths that are found."""
        return self.kinds.get(VerdictKind.FOUND, 0)

    @property
    def recall(self) -> float | None:
        """Share of the truths that are found; ``None`` where there are none."""
        return self.found / self.truths if self.truths else None

    def to_json(self) -> dict[str, Any]:
        """The counts as plain values."""
        return {"truths": self.truths, "verdicts": {kind.value: count for kind, count in self.kinds.items()}}


@dataclass(frozen=True, slots=True)
class Funnel:
    """The verdicts on all truths of a split, and those of each group of truths."""

    total: Counts
    groups: Mapping[str, Mapping[str, Counts]]
    """By attribute (``class``, ``size``, ``aspect``, ``crowding``, ``border``, ``brightness``), then by group."""

    def steps(self) -> tuple[Step, ...]:
        """The verdicts on missed truths in the order of the stages; the last step leaves the truths that are found."""
        left, steps = self.total.truths, []
        for kind in ORDER[:-1]:
            lost = self.total.kinds.get(kind, 0)
            left -= lost
            steps.append(Step(kind, lost, left))
        return tuple(steps)

    def to_json(self) -> dict[str, Any]:
        """The funnel as plain values."""
        groups = {name: {group: each.to_json() for group, each in by.items()} for name, by in self.groups.items()}
        return {**self.total.to_json(), "by": groups}


def funnel_of(truths: Sequence[JudgedTruth], class_names: Sequence[str]) -> Funnel:
    """Count the verdicts on truths; ``class_names`` are listed in this order, whether they have truths or not."""
    orders = {"class": tuple(class_names), **GROUPS}
    found = {name: {group: Counter[VerdictKind]() for group in groups} for name, groups in orders.items()}
    for each in truths:
        for name, group in each.attributes.groups().items():
            found[name][group][each.verdict.kind] += 1
    groups = {name: {group: _counts(each) for group, each in by.items()} for name, by in found.items()}
    return Funnel(_counts(Counter(each.verdict.kind for each in truths)), groups)


def _counts(kinds: Counter[VerdictKind]) -> Counts:
    return Counts(kinds.total(), {kind: kinds[kind] for kind in ORDER if kinds[kind]})
