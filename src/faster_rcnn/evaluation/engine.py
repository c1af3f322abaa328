"""Matching detections to truths by COCO's rules: the one file that knows who computes it.

hotcoco does it, pycocotools where hotcoco cannot be imported. Both get the same columns and give the same arrays,
bit for bit (tests/evaluation compares them), so nothing above this file depends on which one ran.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faster_rcnn.errors import MachineError
from faster_rcnn.structures import ImageSize

try:
    import hotcoco
except ImportError:  # no wheel for this machine: pycocotools gives the same numbers, slower
    hotcoco = None  # type: ignore[assignment]

IOU_THRESHOLDS = 10
"""0.50 to 0.95 (COCO)."""
RECALL_LEVELS = 101
"""0.00 to 1.00 (COCO)."""
AREAS = ("all", "small", "medium", "large")
"""Ranges of a truth's area: any, up to 32 x 32 pixels, up to 96 x 96, above (COCO)."""
LIMITS = (1, 10, 100)
"""So many detections of one class in one image are looked at, best first (COCO)."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Everything COCO's rules look at, one row per truth or detection.

    Images and categories are numbered from 1. The numbers' order is that of the ids in the data, because detections of
    equal score in different images are ranked by it. Boxes are ``(x, y, width, height)``, all numbers double.
    """

    sizes: tuple[ImageSize, ...]
    """Of image 1, 2, ...; detections and truths of no other image may occur."""
    categories: int
    truth_images: NDArray[np.int64]
    truth_categories: NDArray[np.int64]
    truth_boxes_xywh: NDArray[np.float64]
    truth_areas: NDArray[np.float64]
    truth_ignored: NDArray[np.bool_]
    images: NDArray[np.int64]
    categories_of_detections: NDArray[np.int64]
    boxes_xywh: NDArray[np.float64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Precision and recall by IoU threshold, (recall level,) category, range of area and limit; -1 is undefined."""

    precision: NDArray[np.float64]
    """10 thresholds x 101 recall levels x categories x 4 ``AREAS`` x limits."""
    recall: NDArray[np.float64]
    """10 thresholds x categories x 4 ``AREAS`` x limits."""
    engine: str
    """Name and version of the package that computed them."""


def curves(columns: Columns, limits: Sequence[int] = LIMITS) -> Curves:
    """Precision and recall of ``columns``, for so many detections as each of ``limits`` says.

    Raises:
        MachineError: neither hotcoco nor pycocotools can be imported.
    """
    if columns.categories == 0 or not columns.sizes:
        return _no_curves(columns.categories, len(limits))
    return curves_by_hotcoco(columns, limits) if hotcoco is not None else curves_by_pycocotools(columns, limits)


def _no_curves(categories: int, limits: int) -> Curves:
    shape = (categories, len(AREAS), limits)
    return Curves(
        np.full((IOU_THRESHOLDS, RECALL_LEVELS, *shape), -1.0), np.full((IOU_THRESHOLDS, *shape), -1.0), "nothing"
    )


def curves_by_hotcoco(columns: Columns, limits: Sequence[int] = LIMITS) -> Curves:
    """Precision and recall by hotcoco, which takes the columns as they are."""
    truths = hotcoco.COCO.from_arrays(
        _image_entries(columns),
        _category_entries(columns),
        columns.truth_images,
        columns.truth_categories,
        columns.truth_boxes_xywh,
        area=columns.truth_areas,
        iscrowd=columns.truth_ignored,
    )
    scored = (columns.images, columns.boxes_xywh, columns.scores, columns.categories_of_detections)
    evaluation = hotcoco.COCOeval(truths, truths.load_res(np.column_stack(scored)), "bbox")
    evaluation.params.maxDets = list(limits)
    evaluation.evaluate()
    evaluation.accumulate()
    return _curves_of(evaluation, f"hotcoco {hotcoco.__version__}")


def curves_by_pycocotools(columns: Columns, limits: Sequence[int] = LIMITS) -> Curves:
    """Precision and recall by pycocotools, which wants a dict for every box and prints as it goes.

    Raises:
        MachineError: pycocotools cannot be imported.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise MachineError(
            "neither hotcoco nor pycocotools can be imported, so nothing can be measured: pip install hotcoco"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        truths, detections = COCO(), COCO()
        for coco, entries in ((truths, _truth_entries(columns)), (detections, _detection_entries(columns))):
            coco.dataset = {
                "images": _image_entries(columns),
                "categories": _category_entries(columns),
                "annotations": entries,
            }
            coco.createIndex()
        evaluation = COCOeval(truths, detections, "bbox")
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    return _curves_of(evaluation, "pycocotools")


def _curves_of(evaluation: Any, engine: str) -> Curves:
    arrays = evaluation.eval
    return Curves(np.asarray(arrays["precision"]), np.asarray(arrays["recall"]), engine)


def _image_entries(columns: Columns) -> list[dict[str, Any]]:
    return [{"id": number, "height": size.height, "width": size.width} for number, size in enumerate(columns.sizes, 1)]


def _category_entries(columns: Columns) -> list[dict[str, Any]]:
    return [{"id": number, "name": str(number)} for number in range(1, columns.categories + 1)]


def _truth_entries(columns: Columns) -> list[dict[str, Any]]:
    table = zip(
        columns.truth_images.tolist(),
        columns.truth_categories.tolist(),
        columns.truth_boxes_xywh.tolist(),
        columns.truth_areas.tolist(),
        columns.truth_ignored.tolist(),
        strict=True,
    )
    # Numbered from 1: pycocotools takes a truth of id 0 for one that nothing matched.
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": int(ignored)}
        for number, (image, category, box, area, ignored) in enumerate(table, 1)
    ]


def _detection_entries(columns: Columns) -> list[dict[str, Any]]:
    table = zip(
        columns.images.tolist(),
        columns.categories_of_detections.tolist(),
        columns.boxes_xywh.tolist(),
        columns.scores.tolist(),
        strict=True,
    )
    # A detection's area is width times height, as pycocotools' own reader of results sets it.
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "score": score}
        for number, (image, category, box, score) in enumerate(table, 1)
    ]
