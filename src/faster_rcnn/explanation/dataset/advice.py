"""Advice over a data set: the settings that find most of the missed truths, and AP measured after following them.

Advice on single truths is tried on their images. What a setting does to all images is then measured as ``evaluate``
does, once for each of the few settings that help most.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from faster_rcnn.data.anchor_fitting import AnchorFit, fitted_to_split
from faster_rcnn.data.records import Split, evenly_spread
from faster_rcnn.evaluation.detector import predict_shares
from faster_rcnn.evaluation.split import measure_split
from faster_rcnn.explanation.causes.advice import Advice, advice_on
from faster_rcnn.explanation.causes.explained import Explained
from faster_rcnn.explanation.causes.kinds import Thresholds, VerdictKind
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.causes.retries import CONF, TILE, Change, Retries, changed
from faster_rcnn.explanation.dataset.classes import JudgedSplit
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.explanation.dataset.schedule import Schedule, one_by_one
from faster_rcnn.explanation.record.recorder import record
from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.result import Prediction
from faster_rcnn.structures import Detections
from faster_rcnn.system.distributed import ALONE
from faster_rcnn.system.progress import counted, progress

MAX_TRIED = 60
"""Missed truths on which advice is tried."""
MAX_WITH_PASSES = 5
"""Truths that no filter finds for which other sizes and tiles are tried: each is a pass over a larger image or more."""
SUFFICES = 0.75
"""Share of the truths that a setting finds for which its measured value suffices."""
FREQUENT = 0.05
"""Share of the missed truths that no anchor reaches, from which on other anchors are advised."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What the detector finds in all images after one change."""

    change: Change
    remedies: int
    """Number of the tried truths that this setting, with some value, is the nearest remedy for."""
    ap: float | None
    """COCO's AP, as ``evaluate`` measures it; the threshold of reported scores does not change it."""
    ap50: float | None
    found: int
    """Truths that are found; before the change as many as the funnel has."""
    false_positives: int

    def to_json(self) -> dict[str, Any]:
        """The numbers as plain values."""
        return {
            "options": self.change.words,
            "remedies": self.remedies,
            "AP": self.ap,
            "AP50": self.ap50,
            "found": self.found,
            "false_positives": self.false_positives,
        }


@dataclass(frozen=True, slots=True)
class DataAdvice:
    """The settings that would find missed truths of a data set."""

    missed: int
    tried: int
    """Number of missed truths on which advice was tried, evenly spread among all; larger images and tiles, which cost
    passes of the detector, were tried on at most ``MAX_WITH_PASSES`` of those that no other setting finds."""
    remedies: Mapping[str, int]
    """Number of tried truths by the setting that is their nearest remedy, the most frequent first."""
    followed: tuple[Followed, ...]
    """The most frequent remedies, each followed on all images; the threshold of scores, which costs nothing, first."""
    anchors: AnchorFit | None = None
    """Anchors to train with, where no anchor reaches many of the missed truths."""

    @property
    def without(self) -> int:
        """Number of tried truths that no single setting finds."""
        return self.tried - sum(self.remedies.values())

    def to_json(self) -> dict[str, Any]:
        """The advice as plain values."""
        return {
            "missed": self.missed,
            "tried": self.tried,
            "remedies": dict(self.remedies),
            "without_remedy": self.without,
            "followed": [each.to_json() for each in self.followed],
            "anchors": None if self.anchors is None else self.anchors.words,
        }


def advise(
    predictor: Predictor,
    judged: JudgedSplit,
    images: Sequence[JudgedImage],
    thresholds: Thresholds,
    count: int,
    train: Split | None = None,
    in_order: Schedule = one_by_one,
) -> DataAdvice:
    """Try advice on missed truths, and measure what the most frequent remedies do to all images.

    Args:
        predictor: the predictor by which the images were judged.
        judged: their split.
        images: the judged images.
        thresholds: those that the images were judged by.
        count: number of remedies that are measured; each takes as long as ``evaluate``.
        train: labelled images to fit anchors to; without it the judged images.
        in_order: applies work to images in their order.
    """
    missed = [
        (place, one.verdict.truth) for place, each in enumerate(images) for one in each.truths if one.verdict.missed
    ]
    chosen = evenly_spread(missed, MAX_TRIED)
    advices = _advices(predictor, images, chosen, thresholds, in_order)
    changes = defaultdict(list)
    for advice in advices:
        if advice.remedy is not None:
            changes[advice.remedy.setting].append(advice.remedy.change)
    frequent = Counter({setting: len(each) for setting, each in changes.items()}).most_common()
    measured = [CONF] * (CONF in changes) + [setting for setting, _ in frequent if setting != CONF][:count]
    followed = []
    for setting in measured if count else ():
        change = sufficient(changes[setting])
        followed.append(_followed(predictor, judged, images, thresholds, change, len(changes[setting])))
    anchors = _anchors(predictor, judged.split if train is None else train, images)
    return DataAdvice(len(missed), len(chosen), dict(frequent), tuple(followed), anchors)


def sufficient(changes: Sequence[Change]) -> Change:
    """The nearest of the changes of one setting that is enough for three quarters of them."""
    falls = changes[0].setting == CONF or changes[0].setting.endswith(("score_floor", "min_side", TILE))
    ordered = sorted(changes, key=lambda change: change.value, reverse=falls)
    return ordered[math.ceil(SUFFICES * len(ordered)) - 1]


def _advices(
    predictor: Predictor,
    images: Sequence[JudgedImage],
    chosen: Sequence[tuple[int, int]],
    thresholds: Thresholds,
    in_order: Schedule,
) -> list[Advice]:
    """The advice on each chosen truth, given by its image and its index; larger passes are tried on a few of them."""

    def tried(items: Sequence[tuple[int, int]], label: str, *, passes: bool) -> dict[tuple[int, int], Advice]:
        groups = {place: [truth for each, truth in items if each == place] for place, _ in items}
        work = partial(_advice_in, predictor, images, thresholds, passes)
        outcomes = counted(in_order(list(groups.items()), work), label, len(groups))
        return {key: advice for found in outcomes for key, advice in found.items()}

    found = tried(chosen, "images with advice that is tried", passes=False)
    unsolved = [key for key, advice in found.items() if advice.remedy is None and advice.verdict.missed]
    few = evenly_spread(unsolved, MAX_WITH_PASSES)
    return list((found | tried(few, "images tried in other sizes and tiles", passes=True)).values())


def _advice_in(
    predictor: Predictor,
    images: Sequence[JudgedImage],
    thresholds: Thresholds,
    passes: bool,
    group: tuple[int, Sequence[int]],
) -> dict[tuple[int, int], Advice]:
    """The advice on some truths of one image, which is recorded again."""
    place, truths = group
    image = images[place].record
    recording = record(predictor, image.path, thresholds.conf, image.truth)
    explained, retries = Explained(recording, thresholds), Retries(recording)
    chosen = [verdict for verdict in explained.verdicts if verdict.truth in truths]
    return {(place, each.truth): advice_on(explained, each, retries, passes=passes) for each in chosen}


def _followed(
    predictor: Predictor,
    judged: JudgedSplit,
    images: Sequence[JudgedImage],
    thresholds: Thresholds,
    change: Change,
    remedies: int,
) -> Followed:
    """What the detector finds in all images after a change."""
    if change.setting == CONF:
        thresholds = replace(thresholds, conf=change.value)
        found = {place: image.detections for place, image in enumerate(images)}
        split = replace(judged.split, records=tuple(image.record for image in images))
    else:
        split, found = judged.split, {}

        def keep(place: int, one: Prediction) -> None:
            found[place] = judged.known(one.result.detections)

        with progress(f"images with {change.words}", len(split.records)) as meter:
            predict_shares(changed(predictor, change), split, ALONE, keep, lambda _: meter.advance())
    metrics = measure_split(split, found)
    right, wrong = _tally(split, found, thresholds)
    return Followed(change, remedies, metrics.ap, metrics.ap50, right, wrong)


def _tally(split: Split, found: Mapping[int, Detections], thresholds: Thresholds) -> tuple[int, int]:
    """Number of truths that are found, and of reported detections that count for none."""
    right = wrong = 0
    for place, detections in found.items():
        matching = match_detections(detections.above(thresholds.conf), split.records[place].truth, thresholds.iou)
        right += int((matching.detections != UNMATCHED).sum())
        wrong += int(((matching.truths == UNMATCHED) & ~matching.excused).sum())
    return right, wrong


def _anchors(predictor: Predictor, split: Split, images: Sequence[JudgedImage]) -> AnchorFit | None:
    """Anchors that fit the objects better, where no anchor reaches many of the missed truths."""
    kinds = Counter(each.verdict.kind for image in images for each in image.truths if each.verdict.missed)
    if not kinds[VerdictKind.NO_ANCHOR] or kinds[VerdictKind.NO_ANCHOR] < FREQUENT * kinds.total():
        return None
    fit = fitted_to_split(split, predictor.config, predictor.detector.model.rpn.anchors.strides)
    return fit if fit is not None and fit.improves else None
