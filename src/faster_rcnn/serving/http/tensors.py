"""Tensors of the Open Inference Protocol: images from the inputs of a request, and its outputs from results."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from pydantic import BaseModel, Field

from faster_rcnn.data.opening import NamedBytes
from faster_rcnn.inference.inputs import AnyImage
from faster_rcnn.inference.result import Result, shortest
from faster_rcnn.serving.http.options import Limits
from faster_rcnn.serving.http.problems import ProblemError

INPUT = "image"
OUTPUTS = {
    "boxes": ("FP32", [-1, -1, 4]),
    "scores": ("FP32", [-1, -1]),
    "labels": ("INT64", [-1, -1]),
    "num": ("INT64", [-1]),
}
"""Type and shape of each output; -1 is any number."""


class InputTensor(BaseModel):
    """A tensor of a request."""

    name: str
    shape: list[int] = Field(min_length=1, max_length=4)
    datatype: str
    data: list[Any] = Field(description="Numbers or texts, flat or nested as the shape.")


def images_of(inputs: Sequence[InputTensor], limits: Limits) -> list[AnyImage]:
    """The images of the inputs; raises ``ProblemError`` for an input that is none (422), and for too many (413)."""
    if len(inputs) != 1 or inputs[0].name != INPUT:
        raise ProblemError(422, f"inputs are {', '.join(each.name[:40] for each in inputs)}; there is one: {INPUT}")
    given = inputs[0]
    if given.datatype == "BYTES":
        images: list[AnyImage] = list(_files(given))
    elif given.datatype == "UINT8":
        images = list(_pixels(given, limits.megapixels * 10**6))
    else:
        raise ProblemError(422, f"{INPUT} is of type {given.datatype[:20]}; give BYTES or UINT8")
    if len(images) > limits.images:
        raise ProblemError(413, f"{len(images)} images are more than the {limits.images} that a request may have")
    if not images:
        raise ProblemError(422, f"{INPUT} holds no image")
    return images


def _files(given: InputTensor) -> list[NamedBytes]:
    """Encoded images from base64."""
    data = given.data
    if given.shape not in ([len(data)], [len(data), 1]):
        raise ProblemError(
            422, f"{INPUT} has the shape {given.shape} and {len(data)} texts; the shape is [{len(data)}]"
        )
    files = []
    for number, each in enumerate(data, 1):
        text = each[0] if isinstance(each, list) and len(each) == 1 else each
        try:
            if not isinstance(text, str):
                raise ValueError(f"it is {type(text).__name__}")
            files.append(NamedBytes(base64.b64decode(text, validate=True), f"image {number}"))
        except ValueError as error:
            raise ProblemError(422, f"image {number} is no file in base64: {error}") from error
    return files


def _pixels(given: InputTensor, max_pixels: int) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """Images of one size from their pixels, flat or nested."""
    shape = given.shape if len(given.shape) == 4 else [1, *given.shape]
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise ProblemError(
            422, f"{INPUT} has the shape {given.shape}; pixels are [height, width, 3], or several of these"
        )
    if shape[1] * shape[2] > max_pixels:
        raise ProblemError(413, f"{INPUT} has {shape[2]}x{shape[1]} pixels, more than the limit of {max_pixels:,}")
    try:
        values = np.asarray(given.data)
        if values.dtype.kind not in "iu" or values.size != prod(shape):
            raise ValueError(f"{values.size} values of the kind {values.dtype}")
        if values.min() < 0 or values.max() > 255:
            raise ValueError(f"values from {values.min()} to {values.max()}")
    except ValueError as error:
        raise ProblemError(422, f"{INPUT} needs {prod(shape)} integers in 0..255: {error}") from error
    return list(values.astype(np.uint8).reshape(shape))


def tensors_of(results: Sequence[Result]) -> list[dict[str, Any]]:
    """The outputs; rows after an image's own detections are 0, and their label is -1."""
    longest = max(map(len, results))
    rows = {name: [] for name in ("boxes", "scores", "labels")}  # type: dict[str, list[Any]]
    for result in results:
        missing = longest - len(result)
        rows["boxes"] += [each for box in shortest(result.boxes) for each in box] + [0.0] * 4 * missing
        rows["scores"] += shortest(result.scores) + [0.0] * missing
        rows["labels"] += result.label_ids + [-1] * missing
    count = len(results)
    shapes = {"boxes": [count, longest, 4], "scores": [count, longest], "labels": [count, longest], "num": [count]}
    data = {**rows, "num": [len(each) for each in results]}
    return [
        {"name": name, "datatype": kind, "shape": shapes[name], "data": data[name]}
        for name, (kind, _) in OUTPUTS.items()
    ]
