"""COCO JSON in which every truth and every reported detection carries its verdict, for tools that show labels.

FiftyOne takes the extra keys of an annotation as attributes, CVAT and Label Studio those under ``attributes``; so they
are written in both places. Truths and detections are annotations of the same categories, told apart by ``kind``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from faster_rcnn.explanation.causes.kinds import Thresholds
from faster_rcnn.explanation.causes.matching import UNMATCHED, match_detections
from faster_rcnn.explanation.dataset.judged import JudgedImage, JudgedTruth
from faster_rcnn.inference.result import shortest
from faster_rcnn.structures import ClassMap

Annotation = dict[str, Any]


def coco_of(images: Sequence[JudgedImage], classes: ClassMap, thresholds: Thresholds) -> dict[str, Any]:
    """The COCO data set of judged images.

    Image ids are those of the data where all of them are integers, else numbers from 1 on. An ignored truth is a crowd
    without a verdict. Each annotation has ``kind``, which is ``truth`` or ``detection``, its ``verdict`` and, where
    there are any, the numbers of it; a false detection has the verdict ``false`` and its ``false_kind``.
    """
    ids = [each.record.image_id for each in images]
    numbers = ids if all(isinstance(each, int) for each in ids) else list(range(1, len(ids) + 1))
    annotations = [
        {"image_id": number, **each}
        for number, image in zip(numbers, images, strict=True)
        for each in (*_truths(image, classes), *_detections(image, classes, thresholds))
    ]
    return {
        "info": {"description": f"verdicts of faster-rcnn: score {thresholds.conf:g}, IoU {thresholds.iou:g}"},
        "images": [
            {
                "id": number,
                "file_name": each.record.file_name,
                "width": each.record.size.width,
                "height": each.record.size.height,
            }
            for number, each in zip(numbers, images, strict=True)
        ],
        "categories": [
            {"id": class_id, "name": name} for name, class_id in zip(classes.names, classes.ids, strict=True) if name
        ],
        "annotations": [{"id": number, **each} for number, each in enumerate(annotations, 1)],
    }


def _truths(image: JudgedImage, classes: ClassMap) -> list[Annotation]:
    truth, verdicts = image.record.truth, {each.verdict.truth: each for each in image.truths}
    rows = zip(truth.labels.tolist(), image.record.boxes_xywh.tolist(), image.record.areas.tolist(), strict=True)
    return [
        _annotation(classes.ids[label], box, area, _of_truth(verdicts.get(index)), iscrowd=index not in verdicts)
        for index, (label, box, area) in enumerate(rows)
    ]


def _of_truth(judged: JudgedTruth | None) -> dict[str, Any]:
    if judged is None:
        return {"kind": "truth"}
    verdict, groups = judged.verdict, judged.attributes.groups()
    numbers = {"value": verdict.value, "limit": verdict.limit, "setting": verdict.setting}
    known = {key: value for key, value in numbers.items() if value is not None}
    return {
        "kind": "truth",
        "verdict": verdict.kind.value,
        **known,
        **{key: groups[key] for key in groups if key != "class"},
    }


def _detections(image: JudgedImage, classes: ClassMap, thresholds: Thresholds) -> list[Annotation]:
    reported = image.detections.above(thresholds.conf)
    partners = match_detections(reported, image.record.truth, thresholds.iou).truths.tolist()
    false = {each.detection: each for each in image.false_positives}
    found = []
    for index, (box, score) in enumerate(zip(shortest(reported.boxes), shortest(reported.scores), strict=True)):
        x1, y1, x2, y2 = box
        known: dict[str, Any] = {"kind": "detection", "score": score}
        if index in false:
            wrong = false[index]
            known |= {"verdict": "false", "false_kind": wrong.kind.value, "tide": wrong.tide, "iou": wrong.iou}
        else:
            known["verdict"] = "ignored" if partners[index] == UNMATCHED else "found"
        sides = [x1, y1, x2 - x1, y2 - y1]
        class_id = classes.ids[int(reported.labels[index])]
        found.append(_annotation(class_id, sides, sides[2] * sides[3], known, iscrowd=False))
    return found


def _annotation(
    class_id: int, box_xywh: list[float], area: float, known: Mapping[str, Any], *, iscrowd: bool
) -> Annotation:
    plain = {"category_id": class_id, "bbox": box_xywh, "area": area, "iscrowd": int(iscrowd), "segmentation": []}
    return {**plain, **known, "attributes": dict(known)}
