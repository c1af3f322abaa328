"""A finding of ``check``: one fault or remark, with its place in the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faster_rcnn.checking.kinds import KINDS, LEVELS, Kind, Level
from faster_rcnn.data.boxes import Corners
from faster_rcnn.parsing.values import cut

_ORDER = {name: place for place, name in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault or remark."""

    kind: str
    """A name in ``KINDS``."""
    split: str
    file: str
    """Image or annotation file, as the data names it; empty for a finding about a whole split."""
    record: str
    """Place in the annotations, such as ``train.json annotation id 7``; empty for a finding about a whole file."""
    value: str
    """What was found there."""
    change: str | None = None
    """What ``--fix`` does about it; ``None`` for remarks, and for what only a person can decide."""
    path: Path | None = None
    """The image of the finding."""
    box: Corners | None = None
    """The box of the finding in pixels of the upright image, as it is understood."""
    other: Path | None = None
    """The other image of a pair."""

    @property
    def about(self) -> Kind:
        """Level, consequence and remedy."""
        return KINDS[self.kind]

    @property
    def level(self) -> Level:
        """How grave it is."""
        return self.about.level

    @property
    def place(self) -> str:
        """Where it is, in one line."""
        return " ".join(part for part in (self.split, self.file, self.record) if part)

    def to_json(self) -> dict[str, Any]:
        """Everything about it, as JSON."""
        return {
            "kind": self.kind,
            "level": self.level,
            "split": self.split,
            "file": self.file,
            "record": self.record,
            "value": cut(self.value, 1000),
            "leads_to": self.about.leads_to,
            "remedy": self.about.remedy,
            "change": self.change,
        }


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by kind, the gravest kinds first."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.kind, []).append(finding)
    order = sorted(groups, key=lambda kind: (LEVELS.index(KINDS[kind].level), _ORDER[kind]))
    return {kind: groups[kind] for kind in order}


def count_levels(findings: Iterable[Finding]) -> dict[Level, int]:
    """The number of findings of each level."""
    counts = Counter(finding.level for finding in findings)
    return {level: counts[level] for level in LEVELS}
