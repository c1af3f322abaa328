"""Matching of detections to ground truth by COCO's rules, by the package that does it.

That is hotcoco, or pycocotools where hotcoco cannot be imported. Both get the same columns and give the same arrays,
bit for bit (tests/evaluation compares them), so no other module depends on which of them ran.
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

NUM_IOU_THRESHOLDS = 10
"""0.50 to 0.95 (COCO)."""
NUM_RECALL_LEVELS = 101
"""0.00 to 1.00 (COCO)."""
AREAS = ("all", "small", "medium", "large")
"""Ranges of a truth's area: any, up to 32 x 32 pixels, up to 96 x 96, above (COCO)."""
LIMITS = (1, 10, 100)
"""Numbers of detections of one class in one image that count, best first (COCO)."""
TIDE = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
"""TIDE's kinds of errors."""
TIDE_BACKGROUND = 0.1
"""IoU with every truth below which a detection lies on background (TIDE, section 2.2)."""


@dataclass(frozen=True, slots=True, eq=False)
class TruthColumns:
    """Ground truth of all images, one row per box."""

    images: NDArray[np.int64]  # (T,)
    """Number of the image, from 1."""
    categories: NDArray[np.int64]  # (T,)
    """Number of the category, from 1."""
    boxes_xywh: NDArray[np.float64]  # (T, 4)
    areas: NDArray[np.float64]  # (T,)
    """Square pixels."""
    ignored: NDArray[np.bool_]  # (T,)
    """Neither required nor penalised."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectionColumns:
    """Detections of all images, one row per box."""

    images: NDArray[np.int64]  # (D,)
    """Number of the image, from 1."""
    categories: NDArray[np.int64]  # (D,)
    """Number of the category, from 1."""
    boxes_xywh: NDArray[np.float64]  # (D, 4)
    scores: NDArray[np.float64]  # (D,)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Everything that COCO's rules depend on.

    Images and categories are numbered from 1, in the order of their ids in the data, because detections of equal score
    in different images are ranked by it. Boxes are ``(x, y, width, height)`` in pixels, in double precision.
    """

    sizes: tuple[ImageSize, ...]
    """Sizes of image 1, 2, ...; no detection and no truth may be of another image."""
    num_categories: int
    truths: TruthColumns
    detections: DetectionColumns


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
    """Precision and recall where at most each of ``limits`` detections of a class in an image count.

    Raises:
        MachineError: neither hotcoco nor pycocotools can be imported.
    """
    if columns.num_categories == 0 or not columns.sizes:
        return _no_curves(columns.num_categories, len(limits))
    return curves_by_hotcoco(columns, limits) if hotcoco is not None else curves_by_pycocotools(columns, limits)


@dataclass(frozen=True, slots=True)
class TideErrors:
    """TIDE's errors at one IoU threshold (Bolya et al., arXiv 2008.08115), by the names in ``TIDE``."""

    delta_ap: dict[str, float]
    """Rise of AP at the IoU threshold without each kind; also FP and FN, all false positives and all missed truths."""
    counts: dict[str, int]


def tide_errors(columns: Columns, iou_threshold: float) -> TideErrors | None:
    """TIDE's errors by hotcoco; ``None`` where pycocotools stands in for it, which does not compute them."""
    if hotcoco is None:
        return None
    if columns.num_categories == 0 or not columns.sizes:
        return TideErrors(dict.fromkeys((*TIDE, "FP", "FN"), 0.0), dict.fromkeys(TIDE, 0))
    found = hotcoco_matched(columns).tide_errors(pos_thr=iou_threshold, bg_thr=TIDE_BACKGROUND)
    return TideErrors(
        {name: float(found["delta_ap"][name]) for name in (*TIDE, "FP", "FN")},
        {name: int(found["counts"][name]) for name in TIDE},
    )


def _no_curves(num_categories: int, num_limits: int) -> Curves:
    shape = (num_categories, len(AREAS), num_limits)
    return Curves(
        np.full((NUM_IOU_THRESHOLDS, NUM_RECALL_LEVELS, *shape), -1.0),
        np.full((NUM_IOU_THRESHOLDS, *shape), -1.0),
        "nothing",
    )


def curves_by_hotcoco(columns: Columns, limits: Sequence[int] = LIMITS) -> Curves:
    """Precision and recall by hotcoco, which takes the columns as they are."""
    evaluation = hotcoco_matched(columns, limits)
    evaluation.accumulate()
    return curves_from(evaluation, hotcoco_name())


def hotcoco_name() -> str:
    """Name and version of hotcoco, which must be there."""
    return f"hotcoco {hotcoco.__version__}"


def hotcoco_matched(columns: Columns, limits: Sequence[int] = LIMITS) -> Any:
    """Detections matched with truths by hotcoco, which must be there, before anything is accumulated.

    It numbers truths and detections from 1, in the order of their rows.
    """
    evaluation = hotcoco_evaluation(columns, limits)
    evaluation.evaluate()
    return evaluation


def hotcoco_evaluation(columns: Columns, limits: Sequence[int]) -> Any:
    """An evaluation of hotcoco, which must be there, before anything is matched."""
    truths, found = columns.truths, columns.detections
    coco = hotcoco.COCO.from_arrays(
        _image_entries(columns),
        _category_entries(columns.num_categories),
        truths.images,
        truths.categories,
        truths.boxes_xywh,
        area=truths.areas,
        iscrowd=truths.ignored,
    )
    scored = (found.images, found.boxes_xywh, found.scores, found.categories)
    evaluation = hotcoco.COCOeval(coco, coco.load_res(np.column_stack(scored)), "bbox")
    evaluation.params.maxDets = list(limits)
    return evaluation


def has_hotcoco() -> bool:
    """Whether hotcoco is there, which alone computes more than precision and recall."""
    return hotcoco is not None


def bootstrapped_change(before: Any, after: Any, samples: int) -> dict[str, Any]:
    """hotcoco's comparison of two evaluations that are matched, with standard errors over bootstrap samples."""
    found: dict[str, Any] = hotcoco.compare(before, after, n_bootstrap=samples, seed=0)
    return found


def average_precision(
    scores: NDArray[np.float64], are_true: NDArray[np.bool_], truths: int, recalls: NDArray[np.float64]
) -> float:
    """hotcoco's mean of the interpolated precision at some recalls."""
    value: float = hotcoco.metrics.average_precision(
        scores.tolist(), are_true.tolist(), truths, rec_thrs=recalls.tolist()
    )
    return value


def curves_by_pycocotools(columns: Columns, limits: Sequence[int] = LIMITS) -> Curves:
    """Precision and recall by pycocotools, which takes a dict for every box, and prints as it computes.

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
        for coco, entries in ((truths, _truth_entries(columns.truths)), (detections, _detection_entries(columns))):
            coco.dataset = {
                "images": _image_entries(columns),
                "categories": _category_entries(columns.num_categories),
                "annotations": entries,
            }
            coco.createIndex()
        evaluation = COCOeval(truths, detections, "bbox")
        evaluation.params.maxDets = list(limits)
        evaluation.evaluate()
        evaluation.accumulate()
    return curves_from(evaluation, "pycocotools")


def curves_from(evaluation: Any, engine: str) -> Curves:
    """The arrays of an evaluation of either package that has accumulated; ``engine`` is the package's name."""
    arrays = evaluation.eval
    return Curves(np.asarray(arrays["precision"]), np.asarray(arrays["recall"]), engine)


def _image_entries(columns: Columns) -> list[dict[str, Any]]:
    return [{"id": number, "height": size.height, "width": size.width} for number, size in enumerate(columns.sizes, 1)]


def _category_entries(num_categories: int) -> list[dict[str, Any]]:
    """Categories as both packages take them, numbered from 1."""
    return [{"id": number, "name": str(number)} for number in range(1, num_categories + 1)]


def _truth_entries(truths: TruthColumns) -> list[dict[str, Any]]:
    """Truths as both packages take them, a dict for every box."""
    table = zip(
        truths.images.tolist(),
        truths.categories.tolist(),
        truths.boxes_xywh.tolist(),
        truths.areas.tolist(),
        truths.ignored.tolist(),
        strict=True,
    )
    # Numbered from 1: pycocotools treats a match with the truth of id 0 as no match.
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": area, "iscrowd": int(ignored)}
        for number, (image, category, box, area, ignored) in enumerate(table, 1)
    ]


def _detection_entries(columns: Columns) -> list[dict[str, Any]]:
    found = columns.detections
    table = zip(
        found.images.tolist(), found.categories.tolist(), found.boxes_xywh.tolist(), found.scores.tolist(), strict=True
    )
    # A detection's area is width times height, as pycocotools' own reader of results sets it.
    return [
        {"id": number, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "score": score}
        for number, (image, category, box, score) in enumerate(table, 1)
    ]
