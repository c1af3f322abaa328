"""Judged images from rows of numbers, and a survey of a tiny detector, for tests of explanations of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from faster_rcnn.data.records import ImageRecord, Split
from faster_rcnn.explanation.causes.false_positives import false_positives
from faster_rcnn.explanation.causes.kinds import Thresholds, Verdict, VerdictKind
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.dataset.attributes import Attributes
from faster_rcnn.explanation.dataset.classes import JudgedSplit
from faster_rcnn.explanation.dataset.judged import JudgedImage, JudgedTruth
from faster_rcnn.explanation.dataset.oracles import OracleDetections, truths_as_detections
from faster_rcnn.explanation.survey import Survey, survey_data
from faster_rcnn.inference.prepared import PreparedDetector, prepare
from faster_rcnn.structures import ClassMap, Detections, ImageSize
from files import CLASSES as THREE
from files import coco_folder, loaded_model
from tiny import boxes_of, truth_of

CLASSES = ClassMap(("cat", "dog"), (1, 2))
TINY_BOXES: list[list[tuple[float, ...]]] = [[(0, 5, 5, 30, 20), (1, 0, 0, 12, 12)], [(2, 20.25, 10.5, 30.0, 25.0)], []]
"""Rows (label, x, y, width, height) of three images of 60 x 40 pixels."""

Row = tuple[Sequence[float], float, int]
"""Box, score and label of a detection."""


def record_of(
    boxes: Sequence[Sequence[float]],
    labels: Sequence[int],
    size: ImageSize = ImageSize(100, 200),  # noqa: B008  # it is never changed
    image_id: int = 1,
) -> ImageRecord:
    """An image with truths that are not ignored; there is no such file."""
    truth = truth_of(boxes, labels)
    sides = (truth.boxes[:, 2:] - truth.boxes[:, :2]).double()
    xywh = torch.cat([truth.boxes[:, :2].double(), sides], dim=1)
    name = f"{image_id}.png"
    return ImageRecord(Path(name), name, image_id, size, truth, sides.prod(dim=1), xywh)


def detections_of(*rows: Row) -> Detections:
    """Detections, best first."""
    boxes, scores, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(boxes_of(boxes), torch.tensor(scores), torch.tensor(labels, dtype=torch.int64))


def judged_truth(kind: VerdictKind, name: str = "cat", area: float = 100.0, truth: int = 0) -> JudgedTruth:
    """A truth with a verdict."""
    return JudgedTruth(Verdict(truth, 0, kind, None), Attributes(name, area, 1.0, 0.0, 50.0, 0.5))


def judged_image(record: ImageRecord, rows: Sequence[Row], kinds: Sequence[VerdictKind] | None = None) -> JudgedImage:
    """An image judged at a score and an IoU of 0.5: truths are found, or background, unless their kinds are given."""
    found, thresholds = detections_of(*rows), Thresholds(0.5)
    partners = match_detections(found.above(0.5), record.truth, 0.5).detections.tolist()
    plain = [VerdictKind.BACKGROUND if each == UNMATCHED else VerdictKind.FOUND for each in partners]
    perfect = truths_as_detections(record.truth)
    return JudgedImage(
        record,
        found,
        tuple(judged_truth(kind, truth=index) for index, kind in enumerate(kinds or plain)),
        false_positives(found, record.truth, thresholds),
        OracleDetections(perfect, perfect, perfect),
    )


def made_survey(*images: JudgedImage, classes: ClassMap = CLASSES) -> Survey:
    """A survey of judged images of the split "val"."""
    split = Split("val", tuple(each.record for each in images), classes, ())
    return Survey(JudgedSplit(split, {}), Thresholds(0.5), images)


def tiny_detector(classes: ClassMap = THREE, *, exact: bool = True, **sections: dict[str, Any]) -> PreparedDetector:
    """A detector of random weights, which finds something in every image."""
    return prepare(loaded_model(classes, **sections), torch.device("cpu"), torch.float32, exact=exact)


def tiny_survey(folder: Path, **options: Any) -> Survey:
    """A survey of ``tiny_detector`` on three images in a new folder."""
    thresholds = options.pop("thresholds", Thresholds(0.3))
    return survey_data(tiny_detector(), coco_folder(folder, TINY_BOXES), None, thresholds, **options)
