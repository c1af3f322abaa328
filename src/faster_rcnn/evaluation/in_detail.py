"""COCO's metrics and the details behind them, from one matching of hotcoco."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.bootstrap import metric_intervals
from faster_rcnn.evaluation.coco import category_numbers, mean_of_defined
from faster_rcnn.evaluation.details import (
    Calibration,
    CalibrationBin,
    ClassDetails,
    Confusion,
    Details,
    SizeSlice,
)
from faster_rcnn.evaluation.engine import Columns, Curves
from faster_rcnn.evaluation.operating_points import IOU, hits_of
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import USUAL_SCORE, OperatingPoint, Thresholds, best_f1, thinned

BEST_F1 = "the best F1 on these images"


@dataclass(frozen=True, slots=True)
class ChosenScores:
    """Thresholds that the user chose."""

    rule: str
    """How, in words."""
    by_name: Mapping[str, float]
    """Lowest score by the name of the class."""


def details_of(columns: Columns, classes: ClassMap, chosen: ChosenScores | None = None) -> Details | None:
    """Details of detections; ``None`` where pycocotools stands in for hotcoco, or nothing can be measured.

    Args:
        columns: truths and detections.
        classes: names and ids of the labels.
        chosen: thresholds of the scores; by default each class has that of its best F1.
    """
    if not engine.has_hotcoco() or not columns.num_categories or not columns.sizes:
        return None
    evaluation = engine.hotcoco_matched(columns)
    hits = hits_of(columns, evaluation)
    numbers = category_numbers(classes).tolist()
    named = [(classes.name_of(label), number - 1) for label, number in enumerate(numbers) if number]
    fronts = [each.frontier() for each in hits]
    best = [best_f1(each) for each in fronts]
    limits = {place: USUAL_SCORE if point is None else point.score for place, point in enumerate(best)}
    if chosen is not None:
        limits = {place: chosen.by_name[name] for name, place in named}
    calibration = evaluation.calibration(iou_threshold=IOU)
    evaluation.accumulate()
    curve = engine.curves_from(evaluation, engine.hotcoco_name())
    return Details(
        intervals=metric_intervals(columns) or {},
        rule=BEST_F1 if chosen is None else chosen.rule,
        classes=tuple(
            ClassDetails(
                name,
                hits[place].at(limits[place]),
                hits[place].voc2007(),
                hits[place].voc2012(),
                _sizes(columns, curve, place),
                _levels(curve, place) if hits[place].truths else (),
                calibration["per_category"].get(str(place + 1)),
                _kept(fronts[place]),
            )
            for name, place in named
        ),
        sizes=_sizes(columns, curve, None),
        confusion=_confusion(columns, named, [limits[place] for place in range(len(hits))]),
        calibration=_calibration(calibration),
        tide=engine.tide_errors(columns, IOU),
    )


def thresholds_of(columns: Columns, classes: ClassMap, split: str) -> Thresholds | None:
    """The thresholds between which there is a choice, for the model file; ``None`` without hotcoco or any image."""
    if not engine.has_hotcoco() or not columns.num_categories or not columns.sizes:
        return None
    hits = hits_of(columns, engine.hotcoco_matched(columns))
    numbers = category_numbers(classes).tolist()
    points = tuple(_kept(hits[number - 1].frontier()) if number else () for number in numbers)
    return Thresholds(split, len(columns.sizes), points)


def _kept(points: Sequence[OperatingPoint]) -> tuple[OperatingPoint, ...]:
    """The points that a file holds, with six decimals; scores are exact, since those near 1 lie closer together."""
    return tuple(OperatingPoint(one.score, round(one.precision, 6), round(one.recall, 6)) for one in thinned(points))


def _levels(curve: Curves, place: int) -> tuple[float | None, ...]:
    precision = curve.precision[0, :, place, 0, -1]
    return tuple(float(each) if each > -1 else None for each in precision)


def _sizes(columns: Columns, curve: Curves, place: int | None) -> tuple[SizeSlice, ...]:
    """Metrics by the area of the truths, of one category or of all."""
    own = slice(None) if place is None else place
    truths = columns.truths
    counted = ~truths.ignored if place is None else ~truths.ignored & (truths.categories == place + 1)
    small, medium = truths.areas <= 32**2, truths.areas <= 96**2
    ranges = {"small": small, "medium": medium & ~small, "large": ~medium}
    return tuple(
        SizeSlice(
            name,
            int((counted & ranges[name]).sum()),
            mean_of_defined(curve.precision[:, :, own, area, -1]),
            mean_of_defined(curve.precision[0, :, own, area, -1]),
            mean_of_defined(curve.recall[:, own, area, -1]),
        )
        for area, name in enumerate(engine.AREAS)
        if area
    )


def _confusion(columns: Columns, named: Sequence[tuple[str, int]], limits: Sequence[float]) -> Confusion:
    """The confusion of the detections that reach the limits of their categories."""
    found = columns.detections
    kept: NDArray[np.bool_] = found.scores >= np.array(limits)[found.categories - 1]
    reported = replace(
        found,
        images=found.images[kept],
        categories=found.categories[kept],
        boxes_xywh=found.boxes_xywh[kept],
        scores=found.scores[kept],
    )
    evaluation = engine.hotcoco_evaluation(replace(columns, detections=reported), engine.LIMITS)
    matrix = evaluation.confusion_matrix(iou_thr=IOU, max_det=engine.LIMITS[-1])["matrix"]
    order = [place for _, place in named] + [len(named)]
    return Confusion(tuple(name for name, _ in named), tuple(map(tuple, matrix[np.ix_(order, order)].tolist())))


def _calibration(found: Mapping[str, Any]) -> Calibration:
    bins = [
        CalibrationBin(
            each["bin_lower"], each["bin_upper"], each["avg_confidence"], each["avg_accuracy"], each["count"]
        )
        for each in found["bins"]
    ]
    return Calibration(found["ece"], found["mce"], tuple(bins))
