"""The result of one image: its detections as tensors, as JSON and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from faster_rcnn.inference.inputs import AnyImage, to_pixels
from faster_rcnn.losses import Losses
from faster_rcnn.reporting.drawing.boxes import draw_detections
from faster_rcnn.structures import ClassMap, Detections, ImageSize
from faster_rcnn.system.terminal import printable


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """Detections of one image, best first, on the CPU."""

    detections: Detections
    """Boxes, scores and labels as one value, in pixels of the upright image."""
    classes: ClassMap
    """Names and ids of the labels."""
    size: ImageSize
    """Height and width of the upright image in pixels."""
    image: AnyImage
    """The image as it was given; for an image file its path, not its pixels."""

    @property
    def boxes(self) -> Float[Tensor, "detections 4"]:
        """Boxes ``(x1, y1, x2, y2)`` in pixels of the upright image."""
        return self.detections.boxes

    @property
    def scores(self) -> Float[Tensor, " detections"]:
        """Scores in 0..1."""
        return self.detections.scores

    @property
    def labels(self) -> Int[Tensor, " detections"]:
        """Indices of the classes, 0..K-1."""
        return self.detections.labels

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.detections)

    def __repr__(self) -> str:
        best = ", ".join(
            f"{name} {score:.2f}" for name, score in zip(self.names[:3], self.scores.tolist(), strict=False)
        )
        more = ", ..." if len(self) > 3 else ""
        found = f"{len(self)} detections" + (f": {best}{more}" if best else "")
        return printable(f"Result({self.path or 'image'}, {self.size.width}x{self.size.height}, {found})")

    @property
    def names(self) -> list[str]:
        """Class name of each detection."""
        return [self.classes.name_of(label) for label in self.labels.tolist()]

    @property
    def label_ids(self) -> list[int]:
        """Class id of each detection in the data that the model was trained on."""
        return [self.classes.ids[label] for label in self.labels.tolist()]

    @property
    def path(self) -> Path | None:
        """Path of the image; ``None`` where the image was not given by its path."""
        return Path(self.image) if isinstance(self.image, str | Path) else None

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """Entries of a COCO results file; ``image_id`` is the id of the image in its ground truth file."""
        rows = zip(shortest(self.boxes), shortest(self.scores), self.label_ids, strict=True)
        return [
            {
                "image_id": image_id,
                "category_id": label_id,
                "bbox": [x1, y1, _difference(x2, x1), _difference(y2, y1)],
                "score": score,
            }
            for (x1, y1, x2, y2), score, label_id in rows
        ]

    def to_json(self) -> dict[str, Any]:
        """The object that ``predict --json`` writes; ``image`` is null where there is no path."""
        rows = zip(shortest(self.boxes), shortest(self.scores), self.names, self.label_ids, strict=True)
        return {
            "image": None if self.path is None else str(self.path),
            "width": self.size.width,
            "height": self.size.height,
            "detections": [
                {"box": box, "score": score, "label": name, "label_id": label_id} for box, score, name, label_id in rows
            ],
        }

    def picture(self) -> Image.Image:
        """The image with its boxes drawn; an image that was given by its path is read again."""
        # The image was accepted before, so its own size is the limit.
        pixels = to_pixels(self.image, "image", max_pixels=self.size.height * self.size.width)
        return self.drawn_on(pixels)

    def drawn_on(self, pixels: UInt8[Tensor, "3 height width"]) -> Image.Image:
        """The image with its boxes drawn, in RGB, for callers that have decoded the image already."""
        return draw_detections(pixels, self.detections, self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The result of one image of a stream, with the pixels that it was computed from."""

    result: Result
    pixels: UInt8[Tensor, "3 height width"]
    losses: Losses | None = None
    """Mean losses of the images that were processed together, in validation."""


def shortest(values: Float[Tensor, "*shape"]) -> list[Any]:
    """Nested lists of numbers with the fewest digits that give the same float32: 267.2499, not 267.2499084472656.

    A float32 as a Python float is written with fifteen digits or more, of which only the first eight or nine are
    significant.
    """
    numbers: list[Any] = values.detach().numpy().astype(np.float32).astype(str).astype(np.float64).tolist()
    return numbers


def _difference(larger: float, smaller: float) -> float:
    """The difference of two numbers in decimal arithmetic; it has no more decimals than they have."""
    return float(Decimal(repr(larger)) - Decimal(repr(smaller)))


def ordinary(detections: Detections) -> Detections:
    """A copy on the CPU whose tensors may be changed and differentiated; tensors of inference mode refuse both."""
    found = detections.to("cpu")
    return found[torch.arange(len(found))]
