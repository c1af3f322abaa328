"""The tables of a data set's page: the funnel, false positives, oracles, and the groups of truths."""

from __future__ import annotations

from dataclasses import dataclass

from faster_rcnn.explanation.causes.false_positives import TIDE_NAMES, FalseKind
from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.dataset.impact import Effect, Impact
from faster_rcnn.explanation.survey import Survey

STAGES = {
    VerdictKind.NO_ANCHOR: "No anchor reaches the truth",
    VerdictKind.NO_PROPOSAL: "No external proposal lies on it",
    VerdictKind.LOW_OBJECTNESS: "The first stage scores its anchors too low",
    VerdictKind.SUPPRESSED_PROPOSAL: "NMS of the first stage removes its proposals",
    VerdictKind.BACKGROUND: "The second stage takes its regions for background",
    VerdictKind.OTHER_CLASS: "The second stage takes its regions for another class",
    VerdictKind.LOOSE_BOX: "No box lies close enough after both transforms",
    VerdictKind.SMALL_BOX: "Its boxes are smaller than min_side",
    VerdictKind.SUPPRESSED_DETECTION: "NMS of the second stage removes its detection",
    VerdictKind.SHARED_DETECTION: "Its only detections count for a neighbour",
    VerdictKind.MAX_DETECTIONS: "Its detection is beyond max_detections",
    VerdictKind.LOW_SCORE: "Its detection scores below the threshold",
}
"""What happens at each step of the funnel."""

MISTAKES = {
    FalseKind.LOOSE_BOX: "On a truth of its class, with too low an IoU",
    FalseKind.WRONG_CLASS: "On a truth of another class",
    FalseKind.DUPLICATE: "Another detection counts for its truth",
    FalseKind.BACKGROUND: "On no truth",
    FalseKind.WRONG_AND_LOOSE: "On a truth of another class, with too low an IoU",
    FalseKind.MISSING_LABEL: "On no truth, but its features are those of labelled objects",
}
"""What each kind of false positive is."""

ORACLES = {
    "proposals": "Perfect proposals: the truths are the regions",
    "classes": "Perfect classes: each region on a truth has its class, others give nothing",
    "boxes": "Perfect boxes: the best detection of each truth has its box",
    "all": "All three together",
}
"""What each oracle mends."""


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """One step of the funnel."""

    kind: str
    text: str
    lost: int
    left: int
    share: float
    """Share of all truths that are left, 0..1."""
    ap: float | None
    gain: float | None


@dataclass(frozen=True, slots=True)
class FalseRow:
    """One kind of false positives."""

    kind: str
    text: str
    count: int
    ap: float | None
    gain: float | None
    tide: str
    tide_gain: float | None


@dataclass(frozen=True, slots=True)
class OracleRow:
    """One oracle."""

    text: str
    ap: float | None
    gain: float | None


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group of truths."""

    name: str
    truths: int
    found: int
    recall: float | None
    worst: str
    """The most frequent verdict on the missed ones, with its number; empty where none is missed."""


@dataclass(frozen=True, slots=True)
class AdviceRow:
    """One setting that was followed on all images."""

    options: str
    """The words of the command line."""
    remedies: int
    """Tried truths whose nearest remedy it is."""
    ap: float | None
    gain: float | None
    found: int
    false_positives: int


def advice_rows(survey: Survey) -> list[AdviceRow]:
    """The settings that were followed on all images; none where nothing was tried."""
    if survey.advice is None:
        return []
    plain = survey.impact.ap
    return [
        AdviceRow(
            each.change.words,
            each.remedies,
            each.ap,
            None if each.ap is None or plain is None else each.ap - plain,
            each.found,
            each.false_positives,
        )
        for each in survey.advice.followed
    ]


def funnel_rows(survey: Survey) -> list[FunnelRow]:
    """The steps of the funnel at which truths are lost, in the order of the stages."""
    funnel, impact = survey.funnel, survey.impact
    rows = []
    for step in funnel.steps():
        if step.lost:
            ap, gain = _gain(impact, impact.verdicts.get(step.kind))
            share = step.left / funnel.total.truths
            rows.append(FunnelRow(str(step.kind), STAGES[step.kind], step.lost, step.left, share, ap, gain))
    return rows


def false_rows(survey: Survey) -> list[FalseRow]:
    """The kinds of false positives that occur."""
    impact, tide = survey.impact, survey.tide
    rows = []
    for kind in FalseKind:
        effect, name = impact.false_positives.get(kind), TIDE_NAMES[kind]
        if effect is None:
            continue
        ap, gain = _gain(impact, effect)
        cited = None if tide is None or kind == FalseKind.MISSING_LABEL else tide.delta_ap.get(name)
        rows.append(FalseRow(str(kind), MISTAKES[kind], effect.count, ap, gain, name, cited))
    return rows


def oracle_rows(survey: Survey) -> list[OracleRow]:
    """AP under each oracle."""
    impact = survey.impact
    return [OracleRow(ORACLES[name], *_gain(impact, effect)) for name, effect in impact.oracles.items()]


def group_tables(survey: Survey) -> list[tuple[str, list[GroupRow]]]:
    """For each attribute the groups of truths that occur."""
    tables = []
    for attribute, by in survey.funnel.groups.items():
        rows = []
        for name, counts in by.items():
            missed = {kind: number for kind, number in counts.kinds.items() if kind != VerdictKind.FOUND}
            worst = max(missed, key=missed.__getitem__, default=None)
            text = "" if worst is None else f"{worst.value} ({missed[worst]:,})"
            if counts.truths:
                rows.append(GroupRow(name, counts.truths, counts.found, counts.recall, text))
        tables.append((attribute, rows))
    return [(attribute, rows) for attribute, rows in tables if rows]


def _gain(impact: Impact, effect: Effect | None) -> tuple[float | None, float | None]:
    """AP with one kind of error mended, and how much it rises."""
    return (None, None) if effect is None else (effect.ap, impact.gain(effect))
