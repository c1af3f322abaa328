"""One detection as a value, and detections in the types of other libraries, which are imported only when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.structures import ImageSize


@dataclass(frozen=True, slots=True)
class Detection:
    """One detection of an image."""

    box: tuple[float, float, float, float]
    """``(x1, y1, x2, y2)`` in pixels of the upright image."""
    score: float
    """0..1."""
    label: int
    """Index of the class, 0..K-1."""
    name: str
    """Name of the class."""
    label_id: int
    """Id of the class in the data that the model was trained on."""


def as_pandas(found: Sequence[Detection]) -> Any:
    """A ``pandas.DataFrame`` with a row for each detection: x1, y1, x2, y2, score, label (the name), label_id."""
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("pandas") from error
    columns = {
        **{name: np.array([each.box[place] for each in found]) for place, name in enumerate(("x1", "y1", "x2", "y2"))},
        "score": np.array([each.score for each in found]),
        "label": [each.name for each in found],
        "label_id": np.array([each.label_id for each in found], dtype=np.int64),
    }
    return pandas.DataFrame(columns)


def as_supervision(found: Sequence[Detection]) -> Any:
    """A ``supervision.Detections``; ``class_id`` is the index of the class, ``data["class_name"]`` its name."""
    try:
        import supervision
    except ImportError as error:
        raise MissingExtraError("supervision") from error
    return supervision.Detections(
        xyxy=np.array([each.box for each in found], dtype=np.float32).reshape(-1, 4),
        confidence=np.array([each.score for each in found], dtype=np.float32),
        class_id=np.array([each.label for each in found], dtype=np.int64),
        data={"class_name": np.array([each.name for each in found], dtype=str)},
    )


def as_fiftyone(found: Sequence[Detection], size: ImageSize) -> Any:
    """A ``fiftyone.Detections``, whose boxes are (x, y, width, height) as shares of the image's sides."""
    try:
        import fiftyone
    except ImportError as error:
        raise MissingExtraError("fiftyone") from error
    height, width = size
    detections = []
    for each in found:
        x1, y1, x2, y2 = each.box
        shares = [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]
        detections.append(fiftyone.Detection(label=each.name, bounding_box=shares, confidence=each.score))
    return fiftyone.Detections(detections=detections)


def as_hugging_face(found: Sequence[Detection]) -> list[dict[str, Any]]:
    """What the object detection pipeline of transformers gives, with the decimals of each box."""
    return [
        {
            "score": each.score,
            "label": each.name,
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), each.box, strict=True)),
        }
        for each in found
    ]
