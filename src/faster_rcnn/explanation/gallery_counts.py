"""What a page of a data set needs to count right, false and missed boxes anew at other thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from faster_rcnn.explanation.causes.false_positives import BACKGROUND_IOU
from faster_rcnn.explanation.dataset.judged import JudgedImage
from faster_rcnn.ops.boxes import intersection, ioa_from_intersection, iou_from_intersection

MAX_DETECTIONS = 30_000
"""The largest number of detections in a page; of more, those of the highest scores."""
LEAST_SCORE = 0.05
"""The lowest score that a page can be asked about."""
STEPS = 1_000_000
"""Numbers are multiples of one over this."""


def lowest_score(images: Sequence[JudgedImage], conf: float, max_detections: int = MAX_DETECTIONS) -> float:
    """The lowest score, a multiple of 0.01, from which on the detections of all images fit into a page.

    It is never above ``conf``, so that the counts of the page are there in any case.
    """
    scores = torch.cat([image.detections.scores for image in images]) if images else torch.zeros(0)
    kept = scores[scores >= LEAST_SCORE].sort(descending=True).values
    limit = LEAST_SCORE if len(kept) <= max_detections else float(kept[max_detections])
    return min(math.ceil(100 * limit - 1e-9) / 100, conf)


def counts_data(images: Sequence[JudgedImage], floor: float) -> list[dict[str, Any]]:
    """For each image its truths and the detections from a score on, with their IoUs from 0.1 on.

    ``{"t": [[label, ignored], ...], "d": [[label, score, [[truth, IoU], ...]], ...]}``; the overlap with an ignored
    truth is the IoA of the detection, as in ``match_detections``. Numbers are rounded down to six digits, so that a
    comparison with a threshold of fewer digits stays as it is.
    """
    return [_image_data(image, floor) for image in images]


def _image_data(image: JudgedImage, floor: float) -> dict[str, Any]:
    truth, detections = image.record.truth, image.detections.above(floor)
    found, wanted = detections.boxes.double()[:, None], truth.boxes.double()[None]  # (D, 1, 4), (1, T, 4)
    shared = intersection(found, wanted)  # (D, T)
    ious = iou_from_intersection(shared, found, wanted)
    overlaps = torch.where(truth.ignored, ioa_from_intersection(shared, found), ious)
    rows = zip(detections.labels.tolist(), detections.scores.tolist(), overlaps.tolist(), strict=True)
    return {
        "t": [
            [label, int(ignored)] for label, ignored in zip(truth.labels.tolist(), truth.ignored.tolist(), strict=True)
        ],
        "d": [
            [label, _down(score), [[place, _down(value)] for place, value in enumerate(row) if value >= BACKGROUND_IOU]]
            for label, score, row in rows
        ],
    }


def _down(value: float) -> float:
    return math.floor(value * STEPS) / STEPS
