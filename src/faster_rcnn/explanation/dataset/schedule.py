"""Schedules: in which threads the images of a data set are judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from faster_rcnn.inference.predictor import Predictor
from faster_rcnn.inference.prefetch import map_two_workers

Schedule = Callable[[Sequence[Any], Callable[[Any], Any]], Iterator[Any]]
"""Applies work to every item of a list, and gives the results in the order of the items."""


def one_by_one(items: Sequence[Any], work: Callable[[Any], Any]) -> Iterator[Any]:
    """The schedule in which each item waits for the one before it."""
    return map(work, items)


def schedule_for(predictor: Predictor) -> Schedule:
    """The schedule in which ``evaluate`` predicts images, so that both give the same detections."""
    is_concurrent = predictor.detector.runs_two_images and predictor.tiling is None
    return map_two_workers if is_concurrent and torch.get_num_threads() > 1 else one_by_one
