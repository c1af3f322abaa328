"""Replies with detections, in the shape of Roboflow's server, which ``supervision.Detections.from_inference`` reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from faster_rcnn.inference.result import Result


class ImageReply(BaseModel):
    """Size of an image."""

    width: int = Field(description="Pixels of the upright image.")
    height: int


class PredictionReply(BaseModel):
    """One detection."""

    x: float = Field(description="Centre of the box in pixels of the upright image.")
    y: float
    width: float
    height: float
    confidence: float = Field(description="Score in 0..1.")
    class_name: str = Field(alias="class")
    class_id: int = Field(description="Id of the class in the data that the detector was trained on.")
    box: list[float] = Field(
        min_length=4, max_length=4, description="x1, y1, x2, y2: the box exactly as predict --json writes it."
    )


class ResultReply(BaseModel):
    """Detections of one image, best first."""

    image: ImageReply
    predictions: list[PredictionReply]


def result_reply(result: Result) -> dict[str, Any]:
    """The reply for one image, as ``ResultReply`` describes it."""
    return {
        "image": {"width": result.size.width, "height": result.size.height},
        "predictions": [_prediction(**each) for each in result.to_json()["detections"]],
    }


def _prediction(box: list[float], score: float, label: str, label_id: int) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {
        "x": (x1 + x2) / 2,
        "y": (y1 + y2) / 2,
        "width": x2 - x1,
        "height": y2 - y1,
        "confidence": score,
        "class": label,
        "class_id": label_id,
        "box": box,
    }
