"""Predictions in the form of Label Studio, whose boxes are in percent of the image's sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from faster_rcnn.structures import ImageSize


class LabelledBox(NamedTuple):
    """A detection under the label that a project has for its class."""

    place: int
    """The number of the detection in its image, which is the id of its region."""
    xywh: Sequence[float]
    """Left, top, width and height in pixels of the upright image."""
    score: float
    label: str


def prediction(
    model: str, size: ImageSize, boxes: Iterable[LabelledBox], from_name: str = "label", to_name: str = "image"
) -> dict[str, Any]:
    """The prediction of a task.

    Args:
        model: the name that the prediction bears.
        size: that of the upright image.
        boxes: detections, best first.
        from_name: the name of ``<RectangleLabels>`` in the labelling configuration.
        to_name: the name of ``<Image>`` there.
    """
    regions = [_region(each, size, from_name, to_name) for each in boxes]
    best = max((region["score"] for region in regions), default=0.0)
    return {"model_version": model, "score": best, "result": regions}


def _region(box: LabelledBox, size: ImageSize, from_name: str, to_name: str) -> dict[str, Any]:
    x, y, width, height = box.xywh
    percent = {
        "x": 100 * x / size.width,
        "y": 100 * y / size.height,
        "width": 100 * width / size.width,
        "height": 100 * height / size.height,
        "rotation": 0,
    }
    return {
        "id": str(box.place),
        "from_name": from_name,
        "to_name": to_name,
        "type": "rectanglelabels",
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "score": box.score,
        "value": {**percent, "rectanglelabels": [box.label]},
    }
