"""COCO's metrics of detections against ground truth.

The numbers are exactly pycocotools': every box is passed on in double precision, in the order of the data, and the
means are taken over the same elements in the same order. A float32 box can differ from the decimal number in a JSON
file by 1e-8 of its size, enough to fall on the other side of an IoU threshold, hence the double-precision values here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from faster_rcnn.evaluation.engine import LIMITS, Columns, Curves, DetectionColumns, TruthColumns, curves
from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize

NO_BOXES, NO_NUMBERS = torch.zeros(0, 4, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)


@dataclass(frozen=True, slots=True, eq=False)
class TruthOfImage:
    """Ground truth of one image, in its original upright pixels."""

    image_id: int | str
    """It ranks detections of equal score in different images, as in pycocotools; text comes last."""
    size: ImageSize
    truth: GroundTruth
    areas: Float64[Tensor, " truths"]
    """Square pixels; COCO's own ``area`` where there is one (the outline's, smaller than the box's)."""
    boxes_xywh: Float64[Tensor, "truths 4"] | None = None
    """The numbers of the data before they became float32; ``None`` stands for those of ``truth.boxes``."""

    def exact_boxes_xywh(self) -> Float64[Tensor, "truths 4"]:
        """The boxes that are measured."""
        return _xywh(self.truth.boxes) if self.boxes_xywh is None else self.boxes_xywh


@dataclass(frozen=True, slots=True, eq=False)
class ExactDetections:
    """Detections of one image in double precision, in any order; equal scores rank in the order given."""

    boxes_xywh: Float64[Tensor, "detections 4"]
    scores: Float64[Tensor, " detections"]
    labels: Int[Tensor, " detections"]
    """0..K-1."""

    @staticmethod
    def of(detections: Detections) -> ExactDetections:
        """Convert a detector's output; sides are computed in double precision from its float32 corners."""
        return ExactDetections(_xywh(detections.boxes), detections.scores.double(), detections.labels)

    def only(self, rows: Bool[Tensor, " detections"]) -> ExactDetections:
        """Some of the detections, by a mask."""
        return ExactDetections(self.boxes_xywh[rows], self.scores[rows], self.labels[rows])


def measure(
    truths: Sequence[TruthOfImage], detections: Sequence[Detections | ExactDetections], classes: ClassMap
) -> Metrics:
    """COCO's twelve numbers and those of each class.

    Args:
        truths: one per image; image ids are unique.
        detections: one per image in the same order, in the same pixels.
        classes: names and ids of the labels; holes are not categories and no box may have them.
    """
    columns = columns_of(truths, detections, classes)
    return metrics_of(curves(columns), columns, classes)


def metrics_of(curve: Curves, columns: Columns, classes: ClassMap) -> Metrics:
    """COCO's numbers from precision and recall, and from the truths of ``columns``; its detections are not used."""
    precision, recall = curve.precision[..., -1], curve.recall[..., -1]  # at most 100 detections
    required = columns.truths.categories[~columns.truths.ignored]
    return Metrics(
        ap=mean_of_defined(precision[..., 0]),
        ap50=mean_of_defined(precision[0, ..., 0]),
        ap75=mean_of_defined(precision[5, ..., 0]),  # 0.50 + 5 x 0.05
        ap_small=mean_of_defined(precision[..., 1]),
        ap_medium=mean_of_defined(precision[..., 2]),
        ap_large=mean_of_defined(precision[..., 3]),
        ar1=mean_of_defined(curve.recall[..., 0, 0]),
        ar10=mean_of_defined(curve.recall[..., 0, 1]),
        ar100=mean_of_defined(recall[..., 0]),
        ar_small=mean_of_defined(recall[..., 1]),
        ar_medium=mean_of_defined(recall[..., 2]),
        ar_large=mean_of_defined(recall[..., 3]),
        per_class=_per_class(curve, classes, required),
        images=len(columns.sizes),
        truths=len(required),
        ignored=int(columns.truths.ignored.sum()),
        engine=curve.engine,
        notes=_notes(columns),
    )


def columns_of(
    truths: Sequence[TruthOfImage], detections: Sequence[Detections | ExactDetections], classes: ClassMap
) -> Columns:
    """Truths and detections of the same images, in the same order, as the rows that COCO's rules take."""
    if len(truths) != len(detections):
        raise ValueError(f"{len(detections)} images with detections for {len(truths)} images with truths")
    found = [ExactDetections.of(one) if isinstance(one, Detections) else one for one in detections]
    order = order_of_ids([one.image_id for one in truths])
    numbers = category_numbers(classes)
    truths, found = [truths[place] for place in order], [found[place] for place in order]
    return Columns(
        sizes=tuple(one.size for one in truths),
        num_categories=len(classes) - len(classes.holes),
        truths=_truth_columns(truths, numbers),
        detections=_detection_columns(found, numbers),
    )


def order_of_ids(image_ids: Sequence[int | str]) -> list[int]:
    """Places of images in the order of their ids: numbers first, then text; raises ``ValueError`` for equal ids."""
    ids = [(isinstance(each, str), each) for each in image_ids]
    if len(set(ids)) != len(ids):
        raise ValueError("image ids must be unique")
    return sorted(range(len(ids)), key=ids.__getitem__)


def _truth_columns(truths: Sequence[TruthOfImage], numbers: NDArray[np.int64]) -> TruthColumns:
    return TruthColumns(
        images=_image_numbers([len(one.areas) for one in truths]),
        categories=_categories([one.truth.labels for one in truths], numbers),
        boxes_xywh=_joined([one.exact_boxes_xywh() for one in truths], NO_BOXES),
        areas=_joined([one.areas for one in truths], NO_NUMBERS),
        ignored=_joined([one.truth.ignored for one in truths], NO_NUMBERS.bool()),
    )


def _detection_columns(found: Sequence[ExactDetections], numbers: NDArray[np.int64]) -> DetectionColumns:
    return DetectionColumns(
        images=_image_numbers([len(one.scores) for one in found]),
        categories=_categories([one.labels for one in found], numbers),
        boxes_xywh=_joined([one.boxes_xywh for one in found], NO_BOXES),
        scores=_joined([one.scores for one in found], NO_NUMBERS),
    )


def category_numbers(classes: ClassMap) -> NDArray[np.int64]:
    """Label to number 1..C in the order of the data's class ids; 0 for holes."""
    # The order of classes decides in which order a mean adds up, and so its last bit.
    used = sorted((class_id, label) for label, class_id in enumerate(classes.ids) if classes.names[label] is not None)
    numbers = np.zeros(len(classes), dtype=np.int64)
    numbers[[label for _, label in used]] = np.arange(1, len(used) + 1)
    return numbers


def _categories(labels: Sequence[Tensor], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Category numbers of labels; raises ``ValueError`` for a label that is no class."""
    joined = _joined(labels, NO_NUMBERS.long())
    if len(joined) and not (joined.min() >= 0 and joined.max() < len(numbers) and numbers[joined].all()):
        raise ValueError("a box has a label that is no class")
    found: NDArray[np.int64] = numbers[joined]
    return found


def _image_numbers(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.repeat(np.arange(1, len(lengths) + 1, dtype=np.int64), lengths)


def _joined(parts: Sequence[Tensor], none: Tensor) -> NDArray[Any]:
    # ``none`` gives the shape and type where there is no image at all.
    joined: NDArray[Any] = torch.cat([none, *(part.detach().cpu() for part in parts)]).numpy()
    return joined


def _xywh(boxes: Float[Tensor, "boxes 4"]) -> Float64[Tensor, "boxes 4"]:
    corners = boxes.double()
    return torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)


def mean_of_defined(values: NDArray[np.float64]) -> float | None:
    """The mean of the values that are not -1, which stands for undefined; ``None`` where there are none."""
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else None


def _per_class(curve: Curves, classes: ClassMap, required: NDArray[np.int64]) -> tuple[ClassMetrics, ...]:
    counts = Counter(required.tolist())
    rows = []
    for label, number in enumerate(category_numbers(classes).tolist()):
        if number:
            precision = curve.precision[:, :, number - 1, 0, -1]
            rows.append(
                ClassMetrics(
                    classes.name_of(label),
                    mean_of_defined(precision),
                    mean_of_defined(precision[0]),
                    counts.get(number, 0),
                )
            )
    return tuple(rows)


def _notes(columns: Columns) -> tuple[str, ...]:
    crowded = [
        count
        for count in Counter(columns.truths.images[~columns.truths.ignored].tolist()).values()
        if count > LIMITS[-1]
    ]
    if not crowded:
        return ()
    return (
        f"{len(crowded)} of {len(columns.sizes)} images hold more than {LIMITS[-1]} boxes (most: {max(crowded)}): COCO "
        f"counts the best {LIMITS[-1]} detections of each class in an image, so recall can stay below 1",
    )
