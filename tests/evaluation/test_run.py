"""An evaluation: its table, its JSON and how its detections were computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.run import evaluate_detector, evaluate_results
from faster_rcnn.inference.prepared import prepare
from files import coco_folder, loaded_model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return coco_folder(tmp_path / "data", [[(0, 5, 5, 30, 20)], []])


def test_a_detector_is_measured_with_its_device_and_precision(data: Path) -> None:
    detector = prepare(loaded_model(), torch.device("cpu"), torch.float32)
    found = evaluate_detector(detector, data, None, "tiny")
    assert (found.split, found.device, found.precision, found.threads) == ("test", "cpu", "float32", 1)
    assert found.table() == found.metrics.table()
    assert found.to_json() == found.metrics.to_json("test") | {"device": "cpu", "precision": "float32", "threads": 1}
    with pytest.raises(OptionError, match="has no split 'val'; it has: test"):
        evaluate_detector(detector, data, "val", "tiny")


def test_detections_of_a_file_have_no_device(data: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    truth = {"image_id": 10, "category_id": 1, "bbox": [5, 5, 30, 20], "score": 0.9}
    results.write_text(json.dumps([truth]))
    found = evaluate_results(results, data, None)
    assert found.metrics.ap50 == pytest.approx(1)
    assert {name: found.to_json()[name] for name in ("device", "precision", "threads")} == {
        "device": None,
        "precision": None,
        "threads": None,
    }
