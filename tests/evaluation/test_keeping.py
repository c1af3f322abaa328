from __future__ import annotations

from pathlib import Path

import pytest

from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation.keeping import keep_thresholds, refuse_keeping, thresholds_from
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import load_model
from files import model_file
from made_details import made_metrics


def test_a_copy_of_the_model_holds_the_thresholds_of_its_classes(tmp_path: Path) -> None:
    metrics = made_metrics()
    model = model_file(tmp_path / "model.safetensors")
    before = model.read_bytes()
    file = keep_thresholds(str(model), metrics, "val", tmp_path / "kept.safetensors")
    loaded = load_model(file)
    assert model.read_bytes() == before
    assert load_model(model).thresholds is None
    assert loaded.thresholds == thresholds_from(metrics, "val", loaded.classes)
    assert loaded.thresholds is not None
    assert [len(each) > 0 for each in loaded.thresholds.points] == [
        name in ("cow", "dog") for name in loaded.classes.names
    ]


def test_classes_are_matched_by_name() -> None:
    found = thresholds_from(made_metrics(), "val", ClassMap(("dog", None, "bird"), (5, 6, 7)))
    assert (found.split, found.images) == ("val", 20)
    assert [len(each) > 0 for each in found.points] == [True, False, False]


def test_exported_files_are_refused() -> None:
    with pytest.raises(OptionError, match=r"^E125 --keep-thresholds: m\.onnx is an exported file; store them in"):
        refuse_keeping("m.onnx")
