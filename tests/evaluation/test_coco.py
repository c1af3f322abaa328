from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from faster_rcnn.evaluation.coco import ExactDetections, TruthOfImage, measure
from faster_rcnn.structures import ClassMap, Detections, GroundTruth
from made_truths import CELLS, NOTHING, detections, image

KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

FILES = [
    "bccd/annotations/test.json",
    "bccd/annotations/val.json",
    "coco128/annotations/train.json",
    "voc100/annotations/all.json",
]


def test_no_images_is_undefined_everywhere() -> None:
    metrics = measure([], [], CELLS)
    json_ = metrics.to_json("val")
    assert [json_[key] for key in KEYS] == [None] * 12
    assert json_["images"] == 0
    assert json_["per_class"]["red"] == {"AP": None, "AP50": None, "truths": 0}


def test_image_without_truth_and_detection() -> None:
    metrics = measure([image([], [])], [NOTHING], CELLS)
    assert metrics.ap is None
    assert metrics.images == 1


def test_detections_without_any_truth_are_undefined_not_zero() -> None:
    metrics = measure([image([], [])], [detections([[0, 0, 9, 9]], [0], [0.9])], CELLS)
    assert metrics.ap is None


def test_truth_without_detections_is_zero() -> None:
    metrics = measure([image([[10, 10, 30, 30]], [0])], [NOTHING], CELLS)
    assert (metrics.ap, metrics.ap_small, metrics.ar100) == (0.0, 0.0, 0.0)
    assert metrics.ap_large is None


def test_precision_and_recall_by_hand() -> None:
    # Truths 40x40 (medium). First detection is wrong, second is exact, the other truth is missed.
    # Precision at the one true positive: 1/2; recall 1/2. So of the 101 recall levels, those 0.00..0.50 (51) hold
    # 1/2, the others 0: AP = 51/101 x 1/2 = 25.5/101 at every threshold. Recall 1/2, but 0 with one detection.
    truths = [image([[0, 0, 40, 40], [100, 100, 140, 140]], [0, 0])]
    found = [detections([[60, 60, 90, 90], [0, 0, 40, 40]], [0, 0], [0.9, 0.8])]
    metrics = measure(truths, found, CELLS)
    for value in (metrics.ap, metrics.ap50, metrics.ap75):
        assert value == pytest.approx(25.5 / 101, abs=1e-12)
    # The wrong detection has 30x30 = 900 < 1024 pixels: small, so not counted among medium ones: precision 1.
    assert metrics.ap_medium == pytest.approx(51 / 101, abs=1e-12)
    assert (metrics.ar1, metrics.ar10, metrics.ar100, metrics.ar_medium) == (0.0, 0.5, 0.5, 0.5)
    assert (metrics.ap_small, metrics.ar_large) == (None, None)


def test_overlap_of_0_6_counts_at_three_thresholds() -> None:
    # 100x60 inside 100x100: IoU 0.6, so found at 0.50, 0.55 and 0.60 of ten thresholds: AP = AR = 0.3.
    metrics = measure([image([[0, 0, 100, 100]], [0])], [detections([[0, 0, 100, 60]], [0], [0.5])], CELLS)
    assert metrics.ap == pytest.approx(0.3)
    assert metrics.ar100 == pytest.approx(0.3)
    assert metrics.ap50 == pytest.approx(1.0)
    assert metrics.ap75 == 0.0


def test_ignored_truth_is_neither_found_nor_punished() -> None:
    truths = [image([[0, 0, 40, 40], [50, 50, 150, 150]], [0, 0], [False, True])]
    inside_the_crowd = [60.0, 60, 90, 90]
    found = [detections([inside_the_crowd, [0, 0, 40, 40]], [0, 0], [0.9, 0.8])]
    metrics = measure(truths, found, CELLS)
    assert metrics.ap == pytest.approx(1.0)
    assert metrics.per_class[0].truths == 1
    assert metrics.ignored == 1


def test_class_of_only_ignored_truths_is_undefined() -> None:
    truths = [image([[0, 0, 40, 40], [50, 50, 150, 150]], [0, 1], [False, True])]
    metrics = measure(truths, [detections([[0, 0, 40, 40]], [0], [0.9])], CELLS)
    assert metrics.per_class[1].ap is None
    assert metrics.per_class[1].truths == 0


def test_holes_are_not_categories() -> None:
    classes = ClassMap((None, "red", None, "white"), (0, 1, 12, 13))
    truths = [image([[0, 0, 40, 40]], [3])]
    metrics = measure(truths, [detections([[0, 0, 40, 40]], [3], [0.9])], classes)
    assert [one.name for one in metrics.per_class] == ["red", "white"]
    assert metrics.per_class[1].ap == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no class"):
        measure(truths, [detections([[0, 0, 40, 40]], [2], [0.9])], classes)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_outside_the_classes_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match="no class"):
        measure([image([], [])], [detections([[0, 0, 4, 4]], [label], [0.9])], CELLS)


def test_images_must_be_parallel_and_unique() -> None:
    with pytest.raises(ValueError, match="1 images with detections for 2"):
        measure([image([], []), image([], [], number=2)], [NOTHING], CELLS)
    with pytest.raises(ValueError, match="unique"):
        measure([image([], []), image([], [])], [NOTHING, NOTHING], CELLS)


def test_more_than_100_truths_are_noted() -> None:
    boxes = [[float(i), 0, i + 10.0, 10] for i in range(101)]
    truth = image(boxes, [0] * 101)
    metrics = measure([truth], [detections(boxes, [0] * 101, [0.5] * 101)], CELLS)
    assert metrics.ar100 == pytest.approx(100 / 101)
    assert "1 of 1 images hold more than 100 boxes (most: 101)" in metrics.table()
    assert not measure([image(boxes[:100], [0] * 100)], [NOTHING], CELLS).notes


def test_sides_are_computed_in_double_precision() -> None:
    box = torch.tensor([[0.1, 0.2, 300.3, 400.7]])
    exact = ExactDetections.of(Detections(box, torch.tensor([0.7]), torch.tensor([0])))
    corners = box.double()
    assert exact.boxes_xywh[0, 2].item() == (corners[0, 2] - corners[0, 0]).item()
    assert exact.scores.item() == torch.tensor(0.7).item()


def assert_equal_to_oracle(metrics: Any, oracle: Any) -> None:
    """The difference is exactly 0, and a metric is undefined where the oracle gives -1."""
    numbers = metrics.to_json("test")
    assert [numbers[key] for key in KEYS] == oracle.stats
    assert {c.name: (c.ap, c.ap50) for c in metrics.per_class} == oracle.classes


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_pycocotools(file: str, seed: int, data_folder: Any, coco_file: Any) -> None:
    name, _, rest = file.partition("/")
    data = coco_file(data_folder(name) / rest)
    results = data.noisy(seed)
    metrics = measure(data.truths, data.detections(results), data.classes)
    assert 0.1 < (metrics.ap or 0) < 0.9  # the comparison is of something
    assert_equal_to_oracle(metrics, data.oracle(results))


def test_equals_pycocotools_for_float32_detections(data_folder: Any, coco_file: Any) -> None:
    # What a detector gives is float32; the oracle gets the same numbers, written out in full.
    data = coco_file(data_folder("coco128") / "annotations" / "train.json")
    found, results = [], []
    for truth, exact in zip(data.truths, data.detections(data.noisy(5)), strict=True):
        corners = torch.cat([exact.boxes_xywh[:, :2], exact.boxes_xywh[:, :2] + exact.boxes_xywh[:, 2:]], 1).float()
        found.append(Detections(corners, exact.scores.float(), exact.labels))
        for box, score, label in zip(corners.tolist(), exact.scores.float().tolist(), exact.labels, strict=True):
            x1, y1, x2, y2 = box
            entry = {"image_id": truth.image_id, "category_id": data.classes.ids[int(label)], "score": score}
            results.append({**entry, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    assert_equal_to_oracle(measure(data.truths, found, data.classes), data.oracle(results))


def test_equals_pycocotools_with_difficult_boxes_ignored(data_folder: Any, coco_file: Any, tmp_path: Path) -> None:
    dataset = json.loads((data_folder("voc100") / "annotations" / "all.json").read_text())
    for annotation in dataset["annotations"]:
        annotation["iscrowd"] = int(annotation["difficult"])
    path = tmp_path / "difficult.json"
    path.write_text(json.dumps(dataset))
    data = coco_file(path)
    results = data.noisy(0)
    metrics = measure(data.truths, data.detections(results), data.classes)
    assert metrics.ignored == 38
    assert_equal_to_oracle(metrics, data.oracle(results))


@pytest.mark.parametrize("file", FILES)
def test_truth_given_as_detections_is_perfect(file: str, data_folder: Any, coco_file: Any) -> None:
    name, _, rest = file.partition("/")
    data = coco_file(data_folder(name) / rest)
    found = [
        ExactDetections(
            t.exact_boxes_xywh()[keep], torch.ones(int(keep.sum()), dtype=torch.float64), t.truth.labels[keep]
        )
        for t in data.truths
        for keep in [~t.truth.ignored]
    ]
    metrics = measure(data.truths, found, data.classes)
    with_truths = [one for one in metrics.per_class if one.truths]
    assert [one.ap for one in with_truths] == pytest.approx([1.0] * len(with_truths), abs=1e-12)
    assert metrics.ar100 == 1.0


def test_order_of_images_and_classes_changes_nothing(data_folder: Any, coco_file: Any) -> None:
    data = coco_file(data_folder("bccd") / "annotations" / "val.json")
    results = data.noisy(3)
    straight = measure(data.truths, data.detections(results), data.classes)
    data.truths.reverse()
    data.classes = ClassMap(data.classes.names[::-1], data.classes.ids[::-1])
    relabelled = [_with_labels(truth, 2 - truth.truth.labels) for truth in data.truths]
    backwards = measure(relabelled, data.detections(results), data.classes)
    assert [straight.to_json("val")[key] for key in KEYS] == [backwards.to_json("val")[key] for key in KEYS]
    assert straight.per_class == backwards.per_class[::-1]


def _with_labels(one: TruthOfImage, labels: torch.Tensor) -> TruthOfImage:
    truth = GroundTruth(one.truth.boxes, labels, one.truth.ignored)
    return TruthOfImage(one.image_id, one.size, truth, one.areas, one.boxes_xywh)


def test_callers_tensors_are_not_changed(data_folder: Callable[[str], Path], coco_file: Any) -> None:
    data = coco_file(data_folder("bccd") / "annotations" / "val.json")
    before = [truth.boxes_xywh.clone() for truth in data.truths]
    measure(data.truths, data.detections(data.noisy(0)), data.classes)
    torch.testing.assert_close([truth.boxes_xywh for truth in data.truths], before, rtol=0, atol=0)
