"""From a split and what was found in it to metrics: where readers and metrics, which don't know each other, meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage, measure
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.structures import Detections


def truths_of(records: Sequence[ImageRecord]) -> list[TruthOfImage]:
    """What is to be found in each image."""
    return [
        TruthOfImage(record.image_id, record.size, record.truth, record.areas, record.boxes_xywh) for record in records
    ]


def measure_split(split: Split, detections: Mapping[int, Detections | ExactDetections]) -> Metrics:
    """COCO's numbers of detections, in original pixels, by place of their record in the split.

    Images that are not in the mapping could not be read and are left out, with their truth; an image in which nothing
    was found is in the mapping, with no detection.
    """
    places = sorted(detections)
    records = [split.records[place] for place in places]
    return measure(truths_of(records), [detections[place] for place in places], split.classes)
