from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faster_rcnn.errors import OptionError
from faster_rcnn.evaluation import engine
from faster_rcnn.evaluation.keeping import keep_thresholds, refuse_keeping, thresholds_from
from faster_rcnn.inference.prepared import prepare
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.model_file import load_model
from faster_rcnn.weights.thresholds import OperatingPoint, Thresholds
from files import loaded_model, model_file
from made_details import made_metrics


def test_a_copy_of_the_model_holds_the_thresholds_of_its_classes(tmp_path: Path) -> None:
    metrics = made_metrics()
    model = model_file(tmp_path / "model.safetensors")
    before = model.read_bytes()
    file = keep_thresholds(str(model), metrics, "val", tmp_path / "kept.safetensors")
    loaded = load_model(file)
    assert model.read_bytes() == before
    assert load_model(model).thresholds is None
    assert loaded.thresholds == thresholds_from(metrics, "val", loaded)
    assert loaded.thresholds is not None
    assert [len(each) > 0 for each in loaded.thresholds.points] == [
        name in ("cow", "dog") for name in loaded.classes.names
    ]


def test_classes_are_matched_by_name() -> None:
    loaded = replace(loaded_model(), classes=ClassMap(("dog", None, "bird"), (5, 6, 7)))
    found = thresholds_from(made_metrics(), "val", loaded)
    assert (found.split, found.images) == ("val", 20)
    assert [len(each) > 0 for each in found.points] == [True, False, False]


def test_a_class_without_new_thresholds_keeps_its_own(caplog: pytest.LogCaptureFixture) -> None:
    own = (OperatingPoint(0.3, 0.5, 0.9),)
    loaded = replace(
        loaded_model(),
        classes=ClassMap(("dog", None, "bird", "fox"), (5, 6, 7, 8)),
        thresholds=Thresholds("train", 9, (own, (), own, ())),
    )
    with caplog.at_level("INFO", "faster_rcnn"):
        found = thresholds_from(made_metrics(), "val", loaded)
    assert found.points[0] not in (own, ())
    assert found.points[1:] == ((), own, ())
    assert caplog.messages == ["thresholds of bird stay those that the model has: val gives none"]


def test_what_cannot_keep_thresholds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prepare(loaded_model(), torch.device("cpu"), torch.float32)
    stage = whole.config.detector.model_copy(update={"kind": "rpn"})
    first = replace(whole, config=whole.config.model_copy(update={"detector": stage}))
    refuse_keeping("m.safetensors", whole)
    with pytest.raises(OptionError, match=r"^E125 --keep-thresholds: m\.onnx is an exported file; store them in"):
        refuse_keeping("m.onnx", whole)
    with pytest.raises(OptionError, match=r"^E125 --keep-thresholds: m\.json holds detections, and is no model"):
        refuse_keeping("m.json", None)
    with pytest.raises(OptionError, match=r"^E125 --keep-thresholds needs hotcoco, and a detector with a second"):
        refuse_keeping("m.safetensors", first)
    monkeypatch.setattr(engine, "hotcoco", None)
    with pytest.raises(OptionError, match=r"^E125 --keep-thresholds needs hotcoco"):
        refuse_keeping("m.safetensors", whole)
