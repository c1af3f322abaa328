"""Detections in the types of other libraries: the real ones where they are installed small, else what they take."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from faster_rcnn.errors import MissingExtraError
from faster_rcnn.inference.detection import Detection, as_fiftyone, as_hugging_face, as_pandas, as_supervision
from faster_rcnn.structures import ImageSize

FOUND = [Detection((10.5, 5.0, 30.5, 25.0), 0.75, 2, "cow", 7), Detection((0.0, 0.0, 60.0, 40.0), 0.5, 0, "cat", 1)]


def test_a_table_has_a_row_for_each_detection() -> None:
    pytest.importorskip("pandas", reason="needs pandas: pip install pandas")
    table = as_pandas(FOUND)
    assert table.to_dict("records") == [
        {"x1": 10.5, "y1": 5.0, "x2": 30.5, "y2": 25.0, "score": 0.75, "label": "cow", "label_id": 7},
        {"x1": 0.0, "y1": 0.0, "x2": 60.0, "y2": 40.0, "score": 0.5, "label": "cat", "label_id": 1},
    ]
    nothing = as_pandas([])
    assert list(nothing.columns) == list(table.columns)
    assert (len(nothing), nothing["score"].dtype, nothing["label_id"].dtype) == (0, np.float64, np.int64)


def test_supervision_gets_its_detections() -> None:
    supervision = pytest.importorskip("supervision", reason="needs supervision: pip install supervision")
    found = as_supervision(FOUND)
    assert isinstance(found, supervision.Detections)
    assert found.xyxy.tolist() == [[10.5, 5.0, 30.5, 25.0], [0.0, 0.0, 60.0, 40.0]]
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id.tolist() == [2, 0]
    assert found["class_name"].tolist() == ["cow", "cat"]
    assert found[found.confidence > 0.6]["class_name"].tolist() == ["cow"]
    assert found.with_nms(threshold=0.1, class_agnostic=True).class_id.tolist() == [2]
    assert len(as_supervision([])) == 0
    assert len(supervision.Detections.merge([as_supervision([]), found])) == 2


def test_hugging_face_gets_what_its_pipeline_gives() -> None:
    first, second = as_hugging_face(FOUND)
    assert first == {
        "score": 0.75,
        "label": "cow",
        "box": {"xmin": 10.5, "ymin": 5.0, "xmax": 30.5, "ymax": 25.0},
    }
    assert second["label"] == "cat"
    assert as_hugging_face([]) == []


@dataclass
class _Label:
    """As ``fiftyone.Detection``, which takes these keywords (fiftyone 1.22, core/labels.py)."""

    label: str
    bounding_box: list[float]
    confidence: float


@dataclass
class _Labels:
    """As ``fiftyone.Detections``."""

    detections: list[_Label]


def test_fiftyone_gets_shares_of_the_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("fiftyone")
    monkeypatch.setattr(module, "Detection", _Label, raising=False)
    monkeypatch.setattr(module, "Detections", _Labels, raising=False)
    monkeypatch.setitem(sys.modules, "fiftyone", module)
    found = as_fiftyone(FOUND, ImageSize(40, 60))
    first, second = found.detections
    assert first.bounding_box == pytest.approx([10.5 / 60, 5 / 40, 20 / 60, 20 / 40])
    assert (first.label, first.confidence) == ("cow", 0.75)
    assert second.bounding_box == [0.0, 0.0, 1.0, 1.0]
    assert as_fiftyone([], ImageSize(40, 60)).detections == []


def test_a_package_that_is_missing_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pandas", "supervision", "fiftyone"):
        monkeypatch.setitem(sys.modules, name, None)
    for name, convert in (("pandas", as_pandas), ("supervision", as_supervision)):
        with pytest.raises(MissingExtraError, match=rf"^this needs the package '{name}': pip install {name}$"):
            convert(FOUND)
    with pytest.raises(MissingExtraError, match=r"^this needs the package 'fiftyone': pip install fiftyone$"):
        as_fiftyone(FOUND, ImageSize(40, 60))


def test_no_library_is_imported_with_a_result() -> None:
    program = (
        "import sys, faster_rcnn.inference.result; "
        "print([name for name in ('pandas', 'supervision', 'fiftyone') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"
