"""Metrics of a split: connects the readers of data with the metrics, which do not depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage, measure
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.structures import Detections


def truths_of(records: Sequence[ImageRecord]) -> list[TruthOfImage]:
    """Ground truth of each image, as metrics take it."""
    return [
        TruthOfImage(record.image_id, record.size, record.truth, record.areas, record.boxes_xywh) for record in records
    ]


def measure_split(split: Split, detections: Mapping[int, Detections | ExactDetections]) -> Metrics:
    """COCO's metrics of detections in original pixels.

    Args:
        split: images and their ground truth.
        detections: detections by the index of their record in the split. An image that is not in the mapping could not
            be read, and is left out with its truth; one without detections is in the mapping.
    """
    indices = sorted(detections)
    records = [split.records[index] for index in indices]
    return measure(truths_of(records), [detections[index] for index in indices], split.classes)
