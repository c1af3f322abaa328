"""Truths and detections of one small image, from rows of numbers."""

from __future__ import annotations

import torch

from faster_rcnn.evaluation.coco import TruthOfImage
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize

CELLS = ClassMap(("red", "white"), (1, 2))
SIZE = ImageSize(200, 200)


def image(
    boxes: list[list[float]], labels: list[int], ignored: list[bool] | None = None, number: int = 1
) -> TruthOfImage:
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    flags = torch.tensor(ignored or [False] * len(boxes), dtype=torch.bool)
    truth = GroundTruth(corners, torch.tensor(labels, dtype=torch.int64), flags)
    areas = ((corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])).double()
    return TruthOfImage(number, SIZE, truth, areas)


def detections(boxes: list[list[float]], labels: list[int], scores: list[float]) -> Detections:
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return Detections(corners, torch.tensor(scores), torch.tensor(labels, dtype=torch.int64))


NOTHING = detections([], [], [])
