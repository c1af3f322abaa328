"""Made-up detections, and pycocotools as the oracle."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage
from faster_rcnn.structures import ClassMap, GroundTruth, ImageSize

Entries = list[dict[str, Any]]


def _to_truths(dataset: dict[str, Any], classes: ClassMap) -> list[TruthOfImage]:
    """What a reader makes of COCO JSON, as plainly as possible; ``iscrowd`` boxes are ignored."""
    truths = []
    for image in dataset["images"]:
        boxes = [a for a in dataset["annotations"] if a["image_id"] == image["id"]]
        xywh = torch.tensor([a["bbox"] for a in boxes], dtype=torch.float64).reshape(-1, 4)
        corners = torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1).float()
        labels = torch.tensor([classes.ids.index(a["category_id"]) for a in boxes], dtype=torch.int64)
        ignored = torch.tensor([bool(a["iscrowd"]) for a in boxes], dtype=torch.bool)
        areas = torch.tensor([a["area"] for a in boxes], dtype=torch.float64)
        size = ImageSize(image["height"], image["width"])
        truths.append(TruthOfImage(image["id"], size, GroundTruth(corners, labels, ignored), areas, xywh))
    return truths


def _noisy_results(dataset: dict[str, Any], seed: int) -> Entries:
    """Detections as results JSON: moved truths, duplicates, wrong classes, nonsense, tied scores, empty images."""
    random = np.random.default_rng(seed)
    ids = [c["id"] for c in dataset["categories"]]
    empty = {image["id"] for image in dataset["images"] if random.random() < 0.1}
    results: Entries = []
    for a in dataset["annotations"]:
        for _ in range(random.choice([0, 1, 1, 1, 2, 3])):
            x, y, w, h = a["bbox"]
            noise = random.normal(0, random.choice([0, 0.02, 0.1]), 4) * [w, h, w, h]
            box = [x + noise[0], y + noise[1], max(w + noise[2], 0.0), max(h + noise[3], 0.0)]
            category = random.choice(ids) if random.random() < 0.1 else a["category_id"]
            results.append({"image_id": a["image_id"], "category_id": int(category), "bbox": box})
    for image in dataset["images"]:
        for _ in range(random.integers(0, 5)):
            box = (random.random(4) * [image["width"], image["height"], 200, 200]).tolist()
            results.append({"image_id": image["id"], "category_id": int(random.choice(ids)), "bbox": box})
    results = [r for r in results if r["image_id"] not in empty]
    for r in results:
        r["bbox"] = [float(v) for v in r["bbox"]]
        r["score"] = float(round(random.random(), int(random.choice([1, 2, 12]))))
    random.shuffle(results)
    return results


def _to_detections(results: Entries, truths: list[TruthOfImage], classes: ClassMap) -> list[ExactDetections]:
    found = []
    for image in truths:
        of_image = [r for r in results if r["image_id"] == image.image_id]
        boxes = torch.tensor([r["bbox"] for r in of_image], dtype=torch.float64).reshape(-1, 4)
        scores = torch.tensor([r["score"] for r in of_image], dtype=torch.float64)
        labels = torch.tensor([classes.ids.index(r["category_id"]) for r in of_image], dtype=torch.int64)
        found.append(ExactDetections(boxes, scores, labels))
    return found


class Oracle:
    """pycocotools on an annotation file and results."""

    KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

    def __init__(self, annotations: Path, results: Entries) -> None:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        with contextlib.redirect_stdout(io.StringIO()):
            truths = COCO(str(annotations))
            evaluation = COCOeval(truths, truths.loadRes(results), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        self.stats = [None if value == -1 else float(value) for value in evaluation.stats]
        precision = evaluation.eval["precision"][..., 0, -1]
        self.classes = {
            truths.cats[category]["name"]: (self._mean(precision[:, :, k]), self._mean(precision[0, :, k]))
            for k, category in enumerate(evaluation.params.catIds)
        }

    @staticmethod
    def _mean(values: Any) -> float | None:
        return float(np.mean(values[values > -1])) if (values > -1).any() else None


class CocoFile:
    """An annotation file with what our side and the oracle make of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dataset = json.loads(path.read_text())
        categories = self.dataset["categories"]
        self.classes = ClassMap(tuple(c["name"] for c in categories), tuple(c["id"] for c in categories))
        self.truths = _to_truths(self.dataset, self.classes)

    def noisy(self, seed: int) -> Entries:
        return _noisy_results(self.dataset, seed)

    def detections(self, results: Entries) -> list[ExactDetections]:
        return _to_detections(results, self.truths, self.classes)

    def oracle(self, results: Entries) -> Oracle:
        return Oracle(self.path, results)


@pytest.fixture
def coco_file() -> Callable[[Path], CocoFile]:
    return CocoFile
