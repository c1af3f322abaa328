"""COCO's metrics of detections against truths.

The numbers are exactly pycocotools': every box is handed on in double precision, in the order of the data, and the
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
from jaxtyping import Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from faster_rcnn.evaluation.engine import LIMITS, Columns, Curves, curves
from faster_rcnn.evaluation.metrics import ClassMetrics, Metrics
from faster_rcnn.structures import ClassMap, Detections, GroundTruth, ImageSize


@dataclass(frozen=True, slots=True, eq=False)
class TruthOfImage:
    """What is to be found in one image, in its original upright pixels."""

    image_id: int | str
    """Detections of equal score in different images are ranked by it, as pycocotools does; text comes last."""
    size: ImageSize
    truth: GroundTruth
    areas: Float64[Tensor, " truths"]
    """Square pixels; COCO's own ``area`` where there is one (of the outline, smaller than its box)."""
    boxes_xywh: Float64[Tensor, "truths 4"] | None = None
    """The numbers of the data before they became float32; where not given, those of ``truth.boxes``."""

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
        """What the detector found; sides are computed in double precision from its float32 corners."""
        return ExactDetections(_xywh(detections.boxes), detections.scores.double(), detections.labels)


def measure(
    truths: Sequence[TruthOfImage], detections: Sequence[Detections | ExactDetections], classes: ClassMap
) -> Metrics:
    """COCO's twelve numbers and those of each class.

    Args:
        truths: one per image; image ids are unique.
        detections: of the same images in the same order, in the same pixels.
        classes: what labels mean; holes are not categories and no box may have them.
    """
    found = [ExactDetections.of(one) if isinstance(one, Detections) else one for one in detections]
    columns = columns_of(truths, found, classes)
    curve = curves(columns)
    precision, recall = curve.precision[..., -1], curve.recall[..., -1]  # at most 100 detections
    to_find = columns.truth_categories[~columns.truth_ignored]
    return Metrics(
        ap=_mean(precision[..., 0]),
        ap50=_mean(precision[0, ..., 0]),
        ap75=_mean(precision[5, ..., 0]),  # 0.50 + 5 x 0.05
        ap_small=_mean(precision[..., 1]),
        ap_medium=_mean(precision[..., 2]),
        ap_large=_mean(precision[..., 3]),
        ar1=_mean(curve.recall[..., 0, 0]),
        ar10=_mean(curve.recall[..., 0, 1]),
        ar100=_mean(recall[..., 0]),
        ar_small=_mean(recall[..., 1]),
        ar_medium=_mean(recall[..., 2]),
        ar_large=_mean(recall[..., 3]),
        per_class=_per_class(curve, classes, to_find),
        images=len(truths),
        truths=len(to_find),
        ignored=int(columns.truth_ignored.sum()),
        engine=curve.engine,
        notes=_notes(columns),
    )


def columns_of(truths: Sequence[TruthOfImage], found: Sequence[ExactDetections], classes: ClassMap) -> Columns:
    """Truths and detections of the same images in the same order, as the rows that COCO's rules look at."""
    if len(truths) != len(found):
        raise ValueError(f"{len(found)} images with detections for {len(truths)} images with truths")
    ids = [(isinstance(one.image_id, str), one.image_id) for one in truths]
    if len(set(ids)) != len(ids):
        raise ValueError("image ids must be unique")
    order = sorted(range(len(ids)), key=ids.__getitem__)
    truths, found = [truths[i] for i in order], [found[i] for i in order]
    category = _category_numbers(classes)
    return Columns(
        sizes=tuple(one.size for one in truths),
        categories=len(classes) - len(classes.holes),
        truth_images=_image_numbers([len(one.areas) for one in truths]),
        truth_categories=_categories([one.truth.labels for one in truths], category),
        truth_boxes_xywh=_joined([one.exact_boxes_xywh() for one in truths], torch.zeros(0, 4, dtype=torch.float64)),
        truth_areas=_joined([one.areas for one in truths], torch.zeros(0, dtype=torch.float64)),
        truth_ignored=_joined([one.truth.ignored for one in truths], torch.zeros(0, dtype=torch.bool)),
        images=_image_numbers([len(one.scores) for one in found]),
        categories_of_detections=_categories([one.labels for one in found], category),
        boxes_xywh=_joined([one.boxes_xywh for one in found], torch.zeros(0, 4, dtype=torch.float64)),
        scores=_joined([one.scores for one in found], torch.zeros(0, dtype=torch.float64)),
    )


def _category_numbers(classes: ClassMap) -> NDArray[np.int64]:
    """Label to number 1..C in the order of the data's class ids; 0 for holes."""
    # The order of classes decides in which order a mean adds up, and so its last bit.
    used = sorted((class_id, label) for label, class_id in enumerate(classes.ids) if classes.names[label] is not None)
    numbers = np.zeros(len(classes), dtype=np.int64)
    numbers[[label for _, label in used]] = np.arange(1, len(used) + 1)
    return numbers


def _categories(labels: Sequence[Tensor], category: NDArray[np.int64]) -> NDArray[np.int64]:
    joined = _joined(labels, torch.zeros(0, dtype=torch.int64))
    if len(joined) and not (joined.min() >= 0 and joined.max() < len(category) and category[joined].all()):
        raise ValueError("a box has a label that is no class")
    numbers: NDArray[np.int64] = category[joined]
    return numbers


def _image_numbers(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.repeat(np.arange(1, len(lengths) + 1, dtype=np.int64), lengths)


def _joined(parts: Sequence[Tensor], none: Tensor) -> NDArray[Any]:
    # ``none`` gives shape and type where there is no image at all.
    joined: NDArray[Any] = torch.cat([none, *(part.detach().cpu() for part in parts)]).numpy()
    return joined


def _xywh(boxes: Float[Tensor, "boxes 4"]) -> Float64[Tensor, "boxes 4"]:
    corners = boxes.double()
    return torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], dim=1)


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else None


def _per_class(curve: Curves, classes: ClassMap, to_find: NDArray[np.int64]) -> tuple[ClassMetrics, ...]:
    counts = Counter(to_find.tolist())
    rows = []
    for label, number in enumerate(_category_numbers(classes).tolist()):
        if number:
            precision = curve.precision[:, :, number - 1, 0, -1]
            rows.append(
                ClassMetrics(classes.name_of(label), _mean(precision), _mean(precision[0]), counts.get(number, 0))
            )
    return tuple(rows)


def _notes(columns: Columns) -> tuple[str, ...]:
    crowded = [
        count for count in Counter(columns.truth_images[~columns.truth_ignored].tolist()).values() if count > LIMITS[-1]
    ]
    if not crowded:
        return ()
    return (
        f"{len(crowded)} of {len(columns.sizes)} images hold more than {LIMITS[-1]} boxes (most: {max(crowded)}): COCO "
        f"counts the best {LIMITS[-1]} detections of each class in an image, so recall can stay below 1",
    )
