from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from faster_rcnn._version import __version__
from faster_rcnn.serving.http.metrics import FOLDER, Counts
from made_results import result_of

BOX = [0.0, 0, 1, 1]


def lines(counts: Counts) -> list[str]:
    return [line for line in counts.text().decode().splitlines() if not line.startswith("#")]


def test_results_are_counted_by_class() -> None:
    counts = Counts("cells")
    counts.add([result_of([BOX] * 3, [0.5] * 3, [0, 1, 1]), result_of([BOX], [0.5], [1])], 0.2)
    found = lines(counts)
    assert "faster_rcnn_images_total 2.0" in found
    assert 'faster_rcnn_detections_total{class_name="dog"} 3.0' in found
    assert 'faster_rcnn_detect_seconds_bucket{le="0.25"} 1.0' in found
    assert f'faster_rcnn_info{{model="cells",version="{__version__}"}} 1.0' in found


def test_each_service_counts_for_itself() -> None:
    first, second = Counts("a"), Counts("b")
    first.images.inc()
    assert "faster_rcnn_images_total 0.0" in lines(second)


def test_processes_add_up(tmp_path: Path) -> None:
    program = (
        "import sys; from faster_rcnn.serving.http.metrics import Counts; counts = Counts('m')\n"
        "counts.images.inc(int(sys.argv[1])); counts.requests_inside.inc(); counts.close() if sys.argv[2] else None\n"
        "print(counts.text().decode())"
    )
    environment = {**os.environ, FOLDER: str(tmp_path)}
    text = ""
    for number, closes in (("2", "closes"), ("3", "")):
        command = [sys.executable, "-c", program, number, closes]
        text = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert "faster_rcnn_images_total 5.0" in text
    assert "faster_rcnn_requests_inside 1.0" in text
