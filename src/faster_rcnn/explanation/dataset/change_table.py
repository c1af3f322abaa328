"""Two detectors side by side as text for a terminal of 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from faster_rcnn.evaluation.change import NAME, short_name
from faster_rcnn.explanation.causes.kinds import ORDER, VerdictKind
from faster_rcnn.explanation.dataset.pairs import TruthPair


def truth_lines(pairs: Sequence[TruthPair]) -> list[str]:
    """How many truths were found by both, gained, lost, and missed by both; they add up to all."""
    gained, lost = sum(each.gained for each in pairs), sum(each.lost for each in pairs)
    both = sum(not each.before.missed and not each.after.missed for each in pairs)
    rows = {
        "truths": len(pairs),
        "found by both": both,
        "gained": gained,
        "lost": lost,
        "missed by both": len(pairs) - both - gained - lost,
    }
    return [f"{name:<{NAME}}{count:>6}" for name, count in rows.items()]


def verdict_lines(pairs: Sequence[TruthPair]) -> list[str]:
    """Why gained truths were missed before, and why lost truths are missed after."""
    gained = Counter(each.before.kind for each in pairs if each.gained)
    lost = Counter(each.after.kind for each in pairs if each.lost)
    kinds = [kind for kind in ORDER if kind != VerdictKind.FOUND and (gained[kind] or lost[kind])]
    if not kinds:
        return ["no truth was gained or lost"]
    head = f"{'verdict':<{NAME}}gained (missed so before)   lost (missed so after)"
    return [head, *(f"{kind.value:<{NAME}}{gained[kind]:>6}{lost[kind]:>25}" for kind in kinds)]


def class_lines(pairs: Sequence[TruthPair], names: Sequence[str]) -> list[str]:
    """The share of truths found by each detector, and how many were gained and lost, for each class."""
    lines = [f"{'class':<{NAME}}truths  before   after  gained    lost"]
    for name in names:
        own = [each for each in pairs if each.class_name == name]
        if own:
            before = f"{100 * sum(not each.before.missed for each in own) / len(own):.1f}%"
            after = f"{100 * sum(not each.after.missed for each in own) / len(own):.1f}%"
            gained, lost = sum(each.gained for each in own), sum(each.lost for each in own)
            lines.append(f"{short_name(name):<{NAME}}{len(own):>6}  {before:>6}  {after:>6}  {gained:>6}  {lost:>6}")
    return lines
