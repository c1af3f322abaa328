"""The explanation of a data set as text for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from faster_rcnn.explanation.causes.false_positives import TIDE_NAMES, FalseKind
from faster_rcnn.explanation.causes.kinds import VerdictKind
from faster_rcnn.explanation.dataset.advice import DataAdvice
from faster_rcnn.explanation.dataset.funnel import Counts, Funnel
from faster_rcnn.explanation.dataset.impact import Effect, Impact, Tide
from faster_rcnn.system.terminal import printable
from faster_rcnn.system.wording import count_of

COLUMNS = 80
"""Width of the longest line."""
NAME = 22
"""Width of the column of names."""


def funnel_lines(funnel: Funnel, impact: Impact) -> list[str]:
    """The funnel, with the AP that finding the truths of each verdict would give."""
    lines = [f"{'truths':<{NAME}}{funnel.total.truths:>6}    left  AP, were these found"]
    for step in funnel.steps():
        effect = impact.verdicts.get(step.kind)
        gained = "" if effect is None else f"  {_effect(impact, effect)}"
        lines.append(f"{step.kind.value:<{NAME}}{step.lost:>6}  {step.left:>6}{gained}")
    share = "" if funnel.total.recall is None else f"  {100 * funnel.total.recall:>5.1f} %"
    return [*lines, f"{VerdictKind.FOUND.value:<{NAME}}{funnel.total.found:>6}{share}"]


def false_positive_lines(impact: Impact, tide: Tide | None) -> list[str]:
    """The false positives of each kind, with the AP without them, and TIDE's name and number."""
    total = sum(each.count for each in impact.false_positives.values())
    lines = [f"{'false positives':<{NAME}}{total:>6}          AP without these  TIDE's dAP"]
    for kind in FalseKind:
        effect = impact.false_positives.get(kind)
        count = 0 if effect is None else effect.count
        gained = f"{'':<14}" if effect is None else _effect(impact, effect)
        name = TIDE_NAMES[kind]
        cited = "" if tide is None or kind == FalseKind.MISSING_LABEL else f"  {name:<4} {tide.delta_ap[name]:.3f}"
        lines.append(f"{kind.value:<{NAME}}{count:>6}          {gained}  {cited}".rstrip())
    if tide is None:
        return [*lines, "TIDE's numbers need hotcoco, which cannot be imported"]
    return [*lines, f"{'missed truths':<{NAME}}{tide.counts['Miss']:>6}{'':<26}  Miss {tide.delta_ap['Miss']:.3f}"]


def oracle_lines(impact: Impact) -> list[str]:
    """AP as it is, and under each oracle."""
    names = {"proposals": "perfect proposals", "classes": "perfect classes", "boxes": "perfect boxes"}
    lines = [f"{'AP':<{NAME + 16}}{_number(impact.ap)}"]
    for name, effect in impact.oracles.items():
        lines.append(f"{'with ' + names.get(name, 'all three'):<{NAME + 16}}{_effect(impact, effect)}")
    return lines


def advice_lines(advice: DataAdvice, funnel: Funnel, impact: Impact) -> list[str]:
    """The settings that find missed truths, and what they do to all images."""
    if not advice.missed:
        return []
    tried = f"advice, tried on {advice.tried} of {count_of(advice.missed, 'missed truth')}"
    lines = [tried, *(f"  {count:>4} found by {setting}" for setting, count in advice.remedies.items())]
    if advice.without:
        lines.append(f"  {advice.without:>4} found by no single setting")
    if advice.followed:
        false_positives = sum(each.count for each in impact.false_positives.values())
        lines += [
            f"{'followed on all images':<{2 * NAME}}AP      change  found  false",
            f"{'as it is':<{2 * NAME}}{_number(impact.ap)}          {funnel.total.found:>5}  {false_positives:>5}",
        ]
    for each in advice.followed:
        gain = "" if each.ap is None or impact.ap is None else f"{each.ap - impact.ap:+.3f}"
        words = each.change.words
        start = [words, ""] if len(words) >= 2 * NAME else [words]
        numbers = f"{_number(each.ap)}  {gain:>7}  {each.found:>5}  {each.false_positives:>5}"
        lines += [*start[:-1], f"{start[-1]:<{2 * NAME}}{numbers}"]
    if advice.anchors is not None:
        lines += ["nearer anchors need training:", *wrap(f"faster-rcnn train DATA {advice.anchors.words}", COLUMNS)]
    return lines


def group_lines(funnel: Funnel) -> list[str]:
    """The share of truths that are found, and the most frequent verdict on the others, for each group of truths."""
    lines = [f"{'found of':<{NAME}}{'truths':>6}   found  most of the others"]
    for attribute, by in funnel.groups.items():
        lines += [_group_line(f"{group} ({attribute})", each) for group, each in by.items() if each.truths]
    return lines


def _group_line(name: str, counts: Counts) -> str:
    missed: Mapping[VerdictKind, int] = {kind: n for kind, n in counts.kinds.items() if kind != VerdictKind.FOUND}
    worst = max(missed, key=lambda kind: missed[kind], default=None)
    most = "" if worst is None else f"{worst.value} ({missed[worst]})"
    name = printable(name)
    name = name if len(name) < NAME else f"{name[: NAME - 3]}.."
    return f"{name:<{NAME}}{counts.truths:>6}  {100 * (counts.recall or 0):>5.1f} %  {most}".rstrip()


def _effect(impact: Impact, effect: Effect) -> str:
    gain = impact.gain(effect)
    return f"{_number(effect.ap)}  {'' if gain is None else f'{gain:+.3f}'}"


def _number(value: float | None) -> str:
    return "n/a  " if value is None else f"{value:.3f}"
