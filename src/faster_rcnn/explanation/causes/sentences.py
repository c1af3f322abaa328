"""Verdicts and false positives as plain sentences, with the number that failed and its limit."""

from __future__ import annotations

from faster_rcnn.explanation.causes.false_positives import FalseKind, FalsePositive
from faster_rcnn.explanation.causes.kinds import Verdict, VerdictKind
from faster_rcnn.structures import ClassMap

VERDICTS = {
    VerdictKind.NO_ANCHOR: (
        "No anchor reaches it: the best anchor has an IoU of {value} with it, below {limit} (rpn.negative_iou)."
    ),
    VerdictKind.NO_PROPOSAL: "No external proposal lies on it: the best one has an IoU of {value}, below {limit}.",
    VerdictKind.LOW_OBJECTNESS: (
        "The first stage scores it too low: its objectness of {value} is not above {limit}{by}."
    ),
    VerdictKind.SUPPRESSED_PROPOSAL: (
        "NMS of the first stage removed its proposal in favour of a neighbour of higher objectness: their IoU of "
        "{value} exceeds {limit}{by}."
    ),
    VerdictKind.BACKGROUND: (
        "The second stage takes its region for background: {name} scores {value}, background {limit}."
    ),
    VerdictKind.OTHER_CLASS: ("The second stage takes its region for {rival}: {name} scores {value}, {rival} {limit}."),
    VerdictKind.LOOSE_BOX: (
        "No box lies close enough after the {step} transform: the best IoU is {value}, below {limit}."
    ),
    VerdictKind.SMALL_BOX: "Its box is {value} pixels wide or high after resizing, less than {limit}{by}.",
    VerdictKind.SUPPRESSED_DETECTION: (
        "NMS of the second stage removed its detection in favour of a better-scored one: their IoU of {value} exceeds "
        "{limit}{by}."
    ),
    VerdictKind.SHARED_DETECTION: (
        "The only detections on it, of an IoU up to {value}, count for a neighbour of its class."
    ),
    VerdictKind.MAX_DETECTIONS: "Its detection has rank {value}, and the best {limit}{by} are kept.",
    VerdictKind.LOW_SCORE: "Its detection scores {value}, below {limit}{by}.",
    VerdictKind.FOUND: "It is found, with a score of {score}.",
}

LOW_RANKS = {
    "rpn.proposals_before_nms": "its anchor has rank {value} of its level, and the best {limit} pass{by}.",
    "rpn.proposals_after_nms": "its proposal has rank {value} after NMS, and the best {limit} pass{by}.",
}
"""Verdicts of low objectness by a rank, by the setting that holds the limit."""

MERGED = "The merging of tiles removed its detection in favour of that of a neighbour."

FALSE_POSITIVES = {
    FalseKind.LOOSE_BOX: "The box lies on an object of its class, but too loosely: their IoU is {value}.",
    FalseKind.WRONG_CLASS: "The box lies on an object of another class, with an IoU of {value}.",
    FalseKind.DUPLICATE: "Another detection counts for the same object; this one has an IoU of {value} with it.",
    FalseKind.BACKGROUND: "The box lies on no object: the highest IoU is {value}.",
    FalseKind.WRONG_AND_LOOSE: "The box lies loosely on an object of another class: their IoU is {value}.",
    FalseKind.MISSING_LABEL: (
        "The box lies on no labelled object, and its features are those of labelled ones: a label {name} is probably "
        "missing."
    ),
}


def verdict_sentence(verdict: Verdict, classes: ClassMap) -> str:
    """What became of a truth, in one sentence; names of classes are as they are in ``classes``, not escaped."""
    life, text = verdict.life, VERDICTS[verdict.kind]
    if verdict.kind == VerdictKind.LOW_OBJECTNESS and verdict.setting in LOW_RANKS:
        text = f"The first stage scores it too low: {LOW_RANKS[verdict.setting]}"
    if verdict.kind == VerdictKind.SUPPRESSED_DETECTION and verdict.setting is None:
        text = MERGED
    is_region = life is not None and life.proposal is not None
    return text.format(
        value=_number(verdict.value),
        limit=_number(verdict.limit),
        by=f" ({verdict.setting})" if verdict.setting else "",
        name=classes.name_of(verdict.label),
        rival="another class" if life is None or life.rival is None else classes.name_of(life.rival[0]),
        step="second" if is_region else "first",
        score=_number(None if life is None else life.score),
    )


def false_positive_sentence(false: FalsePositive, classes: ClassMap) -> str:
    """Why a detection counts for no truth, in one sentence; names of classes are not escaped."""
    return FALSE_POSITIVES[false.kind].format(name=classes.name_of(false.label), value=_number(false.iou))


def _number(value: float | None) -> str:
    """An integer of 2 or more with separators, any other number with three digits."""
    if value is None:
        return "n/a"
    return f"{value:,.0f}" if value == round(value) and value >= 2 else f"{value:.3g}"
