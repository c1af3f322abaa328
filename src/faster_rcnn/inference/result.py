"""The result of one image: its detections as tensors, one by one, as JSON, as a picture, and for other libraries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, SupportsIndex, cast, overload

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from faster_rcnn.errors import ImageError, OptionError
from faster_rcnn.inference.detection import Detection, as_fiftyone, as_hugging_face, as_pandas, as_supervision
from faster_rcnn.inference.frame import Frame
from faster_rcnn.inference.inputs import AnyImage, to_pixels
from faster_rcnn.losses import Losses
from faster_rcnn.reporting.drawing.boxes import draw_detections
from faster_rcnn.reporting.json_text import json_text
from faster_rcnn.reporting.pages import render_page
from faster_rcnn.structures import ClassMap, Detections, ImageSize
from faster_rcnn.system.atomic import as_machine_error, atomic_write
from faster_rcnn.system.terminal import printable

Rows = slice | Tensor | np.ndarray[Any, np.dtype[Any]] | Sequence[bool] | Sequence[int]
"""Some detections of a result: a slice, a mask with a truth value for each, or their places."""

PICTURES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
"""Formats of pictures by the ending of the file."""
SHOWN_ROWS, SHOWN_SIDE = 20, 800
"""Detections and pixels of the longer side in a notebook."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Result:
    """Detections of one image, best first, on the CPU.

    >>> result[0].name, result[result.scores > 0.7], result[:3]  # doctest: +SKIP
    >>> for found in result:  # doctest: +SKIP
    ...     print(found.name, found.score, found.box)
    """

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

    def __iter__(self) -> Iterator[Detection]:
        """The detections one by one, best first."""
        rows = zip(
            shortest(self.boxes), shortest(self.scores), self.labels.tolist(), self.names, self.label_ids, strict=True
        )
        return (Detection(tuple(box), score, label, name, label_id) for box, score, label, name, label_id in rows)

    # A tensor and an array have __index__, too; at run time they are rows.
    @overload
    def __getitem__(self, rows: Rows) -> Result: ...  # type: ignore[overload-overlap]

    @overload
    def __getitem__(self, rows: SupportsIndex) -> Detection: ...

    def __getitem__(self, rows: SupportsIndex | Rows) -> Detection | Result:
        """One detection by its place, or the result with some of its detections; see ``Rows``.

        Raises ``IndexError`` for a place that does not exist, and for a mask of another length.
        """
        if isinstance(rows, int | np.integer) or _is_place(rows):
            return next(iter(self[[int(cast(int, rows))]]))
        return replace(self, detections=self.detections[_places(cast(Rows, rows), len(self))])

    def __repr__(self) -> str:
        best = ", ".join(
            f"{name} {score:.2f}" for name, score in zip(self.names[:3], self.scores.tolist(), strict=False)
        )
        more = ", ..." if len(self) > 3 else ""
        found = f"{len(self)} detections" + (f": {best}{more}" if best else "")
        return printable(f"Result({self._title}, {self.size.width}x{self.size.height}, {found})")

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

    @property
    def frame(self) -> Frame | None:
        """The frame with its number and time; ``None`` where the image is not of a film or camera."""
        return self.image if isinstance(self.image, Frame) else None

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
        """The object that ``predict --json`` writes; ``image`` is null where there is no path.

        That of a frame has ``film``, ``frame`` (its number) and ``time`` in the place of ``image``.
        """
        return {
            **self._source(),
            "width": self.size.width,
            "height": self.size.height,
            "detections": [
                {"box": list(each.box), "score": each.score, "label": each.name, "label_id": each.label_id}
                for each in self
            ],
        }

    @property
    def _title(self) -> str:
        """The image in messages and captions."""
        return self.frame.name if self.frame is not None else str(self.path or "image")

    def _source(self) -> dict[str, Any]:
        if self.frame is not None:
            return {"film": self.frame.film, "frame": self.frame.number, "time": self.frame.time}
        return {"image": None if self.path is None else str(self.path)}

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame`` with a row for each detection: x1, y1, x2, y2, score, label (the name), label_id."""
        return as_pandas(list(self))

    def to_supervision(self) -> Any:
        """A ``supervision.Detections``; ``class_id`` is the index of the class, ``data["class_name"]`` its name."""
        return as_supervision(list(self))

    def to_fiftyone(self) -> Any:
        """A ``fiftyone.Detections``, the label of a sample of FiftyOne."""
        return as_fiftyone(list(self), self.size)

    def to_hf(self) -> list[dict[str, Any]]:
        """What the object detection pipeline of transformers gives: score, label, and box with xmin, ymin, ..."""
        return as_hugging_face(list(self))

    def save(self, path: str | Path) -> Path:
        """Write the picture with its boxes (.jpg, .png, .webp) or the object of ``to_json`` (.json); returns the path.

        A file of this name is replaced. Raises ``OptionError`` for any other ending, and errors as ``picture`` does.
        """
        target = Path(path)
        ending = target.suffix.lower()
        if ending not in (*PICTURES, ".json"):
            raise OptionError(
                f"save {target}: a result is written as {', '.join(PICTURES)} or .json; choose one of these",
                code="E126",
            )
        picture = None if ending == ".json" else self.picture()
        with atomic_write(target) as temporary, as_machine_error(target):
            if picture is None:
                temporary.write_text(json_text(self.to_json()) + "\n", encoding="utf-8")
            else:
                picture.save(temporary, format=PICTURES[ending])
        return target

    def _repr_html_(self) -> str:
        """The picture with its boxes and a table of the best detections, in a notebook."""
        picture: Image.Image | None = None
        with suppress(ImageError):  # the file is gone or changed since
            picture = self.picture()
            picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        shown = list(self[:SHOWN_ROWS])
        values = {"result": self, "title": self._title, "picture": picture, "shown": shown}
        return render_page("result.html.jinja", **values, more=len(self) - len(shown))

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


def _is_place(rows: object) -> bool:
    """Whether a tensor or an array is one integer, without an axis."""
    if not isinstance(rows, Tensor | np.ndarray) or rows.ndim:
        return False
    given = torch.as_tensor(rows)
    return not (given.dtype == torch.bool or given.is_floating_point())


def _places(rows: Rows, count: int) -> Int[Tensor, " rows"]:
    """The places of some of ``count`` detections, from 0."""
    if isinstance(rows, slice):
        return torch.arange(count)[list(range(count))[rows]]
    is_empty = np.ndim(rows) > 0 and not len(rows)
    given = torch.zeros(0, dtype=torch.int64) if is_empty else torch.as_tensor(rows)
    if given.dtype == torch.bool:
        if given.shape != (count,):
            raise IndexError(f"a mask of {tuple(given.shape)} values for {count} detections")
        return given.nonzero()[:, 0]
    if given.ndim != 1 or given.is_floating_point():
        raise IndexError(f"places are a list of integers or a mask, not {given.dtype} with {given.ndim} axes")
    outside = [place for place in given.tolist() if not -count <= place < count]
    if outside:
        raise IndexError(f"there is no detection {outside[0]} among {count}")
    return given.long() % max(count, 1)


def _difference(larger: float, smaller: float) -> float:
    """The difference of two numbers in decimal arithmetic; it has no more decimals than they have."""
    return float(Decimal(repr(larger)) - Decimal(repr(smaller)))


def ordinary(detections: Detections) -> Detections:
    """A copy on the CPU whose tensors may be changed and differentiated; tensors of inference mode refuse both."""
    found = detections.to("cpu")
    return found[torch.arange(len(found))]
