"""AP of a file is measured beside that of its detector, and both are equal where the file is exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports import C4, SIZE, small_detector, written
from faster_rcnn.data.reading import load_split
from faster_rcnn.evaluation.detector import settings_for
from faster_rcnn.export.accuracy import Accuracy, accuracy_of
from faster_rcnn.inference.exported import exported_detector
from files import coco_folder

pytestmark = pytest.mark.xdist_group("exports")


def test_an_exact_file_has_the_ap_of_its_detector(tmp_path: Path) -> None:
    loaded = small_detector(C4)
    coco_folder(tmp_path, [[(1, 10, 10, 50, 40)]], loaded.classes, size=SIZE)
    split = load_split(tmp_path, settings_for(tmp_path, loaded.config.data), "test").split("test")
    found = accuracy_of(loaded, exported_detector(written("pt2", prepares=True, size=SIZE)), split, "m")
    assert found.file is not None
    assert found.file == found.detector
    assert str(found).startswith(f"AP on test is {found.file:.4f} in float32, and {found.file:.4f} for the detector")


def test_a_split_without_objects_has_no_ap() -> None:
    assert "no AP" in str(Accuracy("test", "int8", None, None))
