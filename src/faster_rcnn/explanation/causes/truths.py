"""Ground truth as a user gives it for one image: as a value, or as names of classes with boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.structures import ClassMap, GroundTruth

GivenTruth = GroundTruth | Sequence[tuple[str, Sequence[float]]]
"""A value, or pairs of a class name and a box (x1, y1, x2, y2) in pixels of the upright image."""


def truth_given(truth: GivenTruth | None, classes: ClassMap) -> GroundTruth | None:
    """Check the truth that a caller gives.

    Raises ``OptionError`` (E125) for a class that the detector lacks, and for anything that is not a box.
    """
    if truth is None:
        return None
    if isinstance(truth, GroundTruth):
        if len(truth.labels) and not 0 <= int(truth.labels.min()) <= int(truth.labels.max()) < len(classes):
            raise OptionError(
                f"truth: labels must be in 0..{len(classes) - 1}, the labels of the detector", code="E125"
            )
        return truth
    names = [name for name in classes.names if name is not None]
    labels, boxes = [], []
    for number, item in enumerate(truth):
        try:
            name, box = item
            x1, y1, x2, y2 = (float(each) for each in box)
        except (TypeError, ValueError) as error:
            raise OptionError(
                f"truth {number} (counted from 0) is {item!r:.60}; give a class name and a box, as ('cat', (x1, y1, "
                "x2, y2))",
                code="E125",
            ) from error
        if name not in names:
            raise OptionError(f"truth {number}: the detector has no class {name!r:.40}; it has {names}", code="E125")
        if not (-math.inf < x1 < x2 < math.inf and -math.inf < y1 < y2 < math.inf):
            raise OptionError(f"truth {number}: {(x1, y1, x2, y2)} is no box with x1 < x2 and y1 < y2", code="E125")
        labels.append(classes.names.index(name))
        boxes.append((x1, y1, x2, y2))
    return GroundTruth(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.zeros(len(labels), dtype=torch.bool),
    )
