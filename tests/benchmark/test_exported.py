"""An exported file is timed as a whole."""

from __future__ import annotations

import pytest

from exports import SIZE, written
from faster_rcnn.benchmark.exported import time_exported
from faster_rcnn.benchmark.values import Amount
from faster_rcnn.inference.loading import load_detector

pytestmark = pytest.mark.xdist_group("exports")


def test_a_made_up_picture_of_the_size_of_the_file_is_timed() -> None:
    path = str(written("pt2", prepares=True, size=SIZE))
    found = time_exported(path, load_detector(path), [], Amount(2, 3))
    assert found.spread.median > 0
    assert found.to_json()["format"] == "pt2"
    assert "2 images" in found.table()
