"""Results of one image, from rows of numbers."""

from __future__ import annotations

import torch

from faster_rcnn.inference.result import Result
from faster_rcnn.structures import Detections
from files import CLASSES, SIZE
from tiny import boxes_of


def result_of(rows: list[list[float]], scores: list[float], labels: list[int]) -> Result:
    """A result with these boxes in an image of ``SIZE``."""
    indices = torch.zeros(len(rows), dtype=torch.int64)
    found = Detections(boxes_of(rows), torch.tensor(scores), torch.tensor(labels, dtype=torch.int64), indices)
    return Result(found, CLASSES, SIZE, b"")
