"""The auto-annotation function, as CVAT's own package checks and calls it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PIL import Image

from faster_rcnn import Detector
from faster_rcnn.errors import MissingExtraError
from faster_rcnn.integrations import cvat
from faster_rcnn.structures import ClassMap
from faster_rcnn.weights.thresholds import OperatingPoint, Thresholds
from files import loaded_model, model_file, rgb

cvataa = pytest.importorskip("cvat_sdk.auto_annotation", reason="needs cvat-sdk: pip install cvat-sdk")

CLASSES = ClassMap(("cat", None, "cow"), (1, 2, 7))


@dataclass
class Wish:
    """What CVAT passes, as far as a detector needs it."""

    conf_threshold: float | None


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> cvat.DetectionFunction:
    file = model_file(tmp_path_factory.mktemp("model") / "tiny.safetensors", CLASSES)
    return cvat.create(str(file), "cpu", "float32", conf=0.0, max_det=5)


def test_labels_are_the_classes_as_rectangles(function: cvat.DetectionFunction) -> None:
    assert isinstance(function.spec, cvataa.DetectionFunctionSpec)
    assert [(each.name, each.id, each.type) for each in function.spec.labels] == [
        ("cat", 0, "rectangle"),
        ("cow", 2, "rectangle"),
    ]


def test_detections_are_rectangles_in_pixels(function: cvat.DetectionFunction) -> None:
    image = Image.fromarray(rgb())
    found = function.detect(Wish(None), image)
    expected = list(function.detector.predict(image, 0.0, 5))
    assert [each.points for each in found] == [list(each.box) for each in expected]
    assert [each.label_id for each in found] == [each.label for each in expected]
    assert {each.type.value for each in found} == {"rectangle"}
    assert {each.frame for each in found} == {0}
    assert len(found) == 5


def test_the_threshold_of_cvat_wins(function: cvat.DetectionFunction) -> None:
    image = Image.fromarray(rgb())
    scores = [each.score for each in function.detector.predict(image, 0.0, 5)]
    assert len(function.detect(Wish(scores[1]), image)) == sum(score >= scores[1] for score in scores) < 5
    assert function.detect(Wish(1.0), image) == []


def test_thresholds_of_the_model_hold_where_cvat_has_none(function: cvat.DetectionFunction) -> None:
    image = Image.fromarray(rgb())
    scores = [each.score for each in function.detector.predict(image, 0.0)]
    points = ((OperatingPoint(scores[1], 0.9, 0.5),), (), (OperatingPoint(1.0, 0.9, 0.5),))
    detector = Detector(replace(loaded_model(CLASSES), thresholds=Thresholds("val", 9, points)), "cpu", "float32")
    found = cvat.DetectionFunction(detector, "auto").detect(Wish(None), image)
    assert [each.points for each in found] == [list(each.box) for each in detector.predict(image, "auto")]
    assert {each.label_id for each in found} <= {0}


def test_the_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cvat_sdk", "cvat_sdk.auto_annotation"):
        monkeypatch.setitem(sys.modules, name, None)
    function = cvat.DetectionFunction(Detector(loaded_model(), "cpu"))
    with pytest.raises(MissingExtraError, match=r"^this needs the package 'cvat-sdk': pip install cvat-sdk$"):
        _ = function.spec


def test_the_path_of_the_module_is_the_one_of_the_documentation() -> None:
    assert cvat.__name__ == "faster_rcnn.integrations.cvat"
    assert Path(cvat.__file__).name == "cvat.py"
