"""Metrics with details of made-up detections."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from faster_rcnn.evaluation.coco import metrics_of
from faster_rcnn.evaluation.engine import Columns, DetectionColumns, TruthColumns, curves
from faster_rcnn.evaluation.in_detail import details_of
from faster_rcnn.evaluation.metrics import Metrics
from faster_rcnn.structures import ClassMap, ImageSize


def made_columns(seed: int, images: int = 20) -> Columns:
    """A truth of each class for each image, moved ones found, and boxes anywhere; no two scores are equal."""
    random = np.random.default_rng(seed)
    truths = 3 * images
    categories = np.repeat([1, 2, 3], images)
    boxes = np.hstack([random.uniform(0, 300, (truths, 2)), random.uniform(10, 120, (truths, 2))])
    of_image = random.integers(1, images + 1, truths)
    hit = random.random(truths) < 0.8
    moved = boxes[hit] + random.normal(0, 6, (int(hit.sum()), 4))
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    found_class = np.where(random.random(truths) < 0.1, random.integers(1, 4, truths), categories)[hit]
    noise = 2 * images
    anywhere = np.hstack([random.uniform(0, 300, (noise, 2)), random.uniform(10, 120, (noise, 2))])
    scores = random.permutation(len(moved) + noise) / (len(moved) + noise) * 0.4
    scores[: len(moved)] += 0.3
    return Columns(
        (ImageSize(400, 400),) * images,
        3,
        TruthColumns(of_image, categories, boxes, boxes[:, 2] * boxes[:, 3], np.zeros(truths, dtype=bool)),
        DetectionColumns(
            np.concatenate([of_image[hit], random.integers(1, images + 1, noise)]),
            np.concatenate([found_class, random.integers(1, 4, noise)]),
            np.vstack([moved, anywhere]),
            scores,
        ),
    )


def made_metrics() -> Metrics:
    """Metrics of three classes, one with a name that is markup."""
    columns, classes = made_columns(3), ClassMap(("<b>", "cow", "dog"), (1, 2, 3))
    return replace(metrics_of(curves(columns), columns, classes), details=details_of(columns, classes))
