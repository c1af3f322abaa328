"""Facts of an export survive its metadata; damaged ones are refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from faster_rcnn.errors import ModelFileError
from faster_rcnn.structures import ClassMap, ImageSize
from faster_rcnn.weights.exported import ExportFacts, is_exported, metadata_text, parse_metadata, plain_metadata
from tiny import tiny_config

CLASSES = ClassMap(("cat", None, "cow"), (1, 5, 7))
FACTS = ExportFacts("onnx", None, ImageSize(480, 640), nms=True, prepares=False, weights="0123abcd")


@pytest.mark.parametrize("facts", [FACTS, ExportFacts("pt2", 4, None, nms=False, prepares=True)])
def test_what_is_written_is_read(facts: ExportFacts) -> None:
    found = parse_metadata(Path("m.onnx"), metadata_text(tiny_config(), CLASSES, facts))
    assert found.facts == facts
    assert (found.header.config, found.header.classes) == (tiny_config(), CLASSES)


@pytest.mark.parametrize("damage", [{}, {"export": {}}, {"export": {**FACTS.to_json(), "size": "x"}}, {"export": 3}])
def test_damaged_metadata_are_refused(damage: dict[str, object]) -> None:
    whole = json.loads(metadata_text(tiny_config(), CLASSES, FACTS))
    del whole["export"]
    with pytest.raises(ModelFileError, match=r"m\.onnx: its metadata"):
        parse_metadata(Path("m.onnx"), json.dumps({**whole, **damage}))


def test_plain_metadata_name_classes_ids_and_thresholds() -> None:
    plain = plain_metadata(tiny_config(), CLASSES, FACTS)
    assert json.loads(plain["names"]) == {"0": "cat", "2": "cow"}
    assert json.loads(plain["ids"]) == {"0": 1, "2": 7}
    assert json.loads(plain["thresholds"]) == {"score": 0.0, "nms_iou": 0.5, "max_detections": 100}
    assert "0.485" in plain["preprocessing"]


def test_endings_of_exported_files() -> None:
    assert all(is_exported(name) for name in ("a.onnx", "b/c.XML", "d.pt2"))
    assert not any(is_exported(name) for name in ("a.pt", "a.safetensors", "runs/cells"))
