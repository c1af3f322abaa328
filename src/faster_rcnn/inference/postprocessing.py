"""Candidates to detections with numpy alone, for exports without NMS: copy this file beside your program.

An export with ``--nms none`` gives, for each image, the boxes (P, K, 4) of P proposals as objects of K classes, in the
pixels of the image, and their scores (P, K); a score below 0 marks a candidate that the detector's limits refuse.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def detections_of(
    boxes: Array, scores: Array, iou_threshold: float, max_detections: int, agnostic: bool = False
) -> tuple[Array, Array, Array]:
    """Boxes (N, 4), scores (N,) and labels (N,) of one image, best first.

    NMS compares boxes of the same class; with ``agnostic`` those of all classes.
    """
    proposal, label = np.nonzero(scores >= 0)
    order = np.argsort(-scores[proposal, label], kind="stable")
    proposal, label = proposal[order], label[order]
    candidates = boxes[proposal, label].astype(np.float64)
    kept = np.zeros(len(candidates), dtype=bool)
    group = np.zeros_like(label) if agnostic else label
    for each in np.unique(group):
        own = np.flatnonzero(group == each)
        kept[own[_survivors(candidates[own], iou_threshold)]] = True
    best = np.flatnonzero(kept)[:max_detections]
    return boxes[proposal[best], label[best]], scores[proposal[best], label[best]], label[best]


def _survivors(boxes: Array, iou_threshold: float) -> Array:
    """Indices of the boxes, best first, that no better survivor overlaps by more than the threshold."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    found = []
    while len(left):
        best, left = left[0], left[1:]
        found.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = area[best] + area[left] - shared
        left = left[shared <= iou_threshold * union]
    return np.array(found, dtype=np.int64)
