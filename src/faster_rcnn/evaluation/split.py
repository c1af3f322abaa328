"""Metrics of a split: connects the readers of data with the metrics, which do not depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage, columns_of, metrics_of
from faster_rcnn.evaluation.engine import Columns, curves
from faster_rcnn.evaluation.in_detail import ChosenScores, details_of
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.structures import Detections


def truths_of(records: Sequence[ImageRecord]) -> list[TruthOfImage]:
    """Ground truth of each image, as metrics take it."""
    return [
        TruthOfImage(record.image_id, record.size, record.truth, record.areas, record.boxes_xywh) for record in records
    ]


def columns_of_split(split: Split, detections: Mapping[int, Detections | ExactDetections]) -> Columns:
    """Truths and detections as ``measure_split`` takes them, as the rows that COCO's rules take."""
    indices = sorted(detections)
    truths = truths_of([split.records[index] for index in indices])
    return columns_of(truths, [detections[index] for index in indices], split.classes)


def measure_split(split: Split, detections: Mapping[int, Detections | ExactDetections]) -> Metrics:
    """COCO's metrics of detections in original pixels.

    Args:
        split: images and their ground truth.
        detections: detections by the index of their record in the split. An image that is not in the mapping could not
            be read, and is left out with its truth; one without detections is in the mapping.
    """
    columns = columns_of_split(split, detections)
    return metrics_of(curves(columns), columns, split.classes)


def measure_split_in_detail(
    split: Split, detections: Mapping[int, Detections | ExactDetections], chosen: ChosenScores | None = None
) -> Metrics:
    """The metrics of ``measure_split`` with their details, at the thresholds that are ``chosen``."""
    columns = columns_of_split(split, detections)
    metrics = metrics_of(curves(columns), columns, split.classes)
    return replace(metrics, details=details_of(columns, split.classes, chosen))
