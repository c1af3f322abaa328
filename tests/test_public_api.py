from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import faster_rcnn
from made_data import make_squares, settings_file


def test_the_public_names_are_sorted_and_exist() -> None:
    assert faster_rcnn.__all__ == sorted(faster_rcnn.__all__) == dir(faster_rcnn)
    assert all(getattr(faster_rcnn, name) is not None for name in faster_rcnn.__all__)


def test_detector_is_the_class_of_its_file() -> None:
    from faster_rcnn.detector import Detector

    assert faster_rcnn.Detector is Detector


def test_callback_is_the_class_of_its_file() -> None:
    from faster_rcnn.training.callback import Callback

    assert faster_rcnn.Callback is Callback


def test_trace_and_verdict_are_the_classes_of_their_files() -> None:
    from faster_rcnn.explanation.causes.kinds import Verdict
    from faster_rcnn.explanation.trace import Trace

    assert faster_rcnn.Trace is Trace
    assert faster_rcnn.Verdict is Verdict


def test_result_and_detection_are_the_classes_of_their_files() -> None:
    from faster_rcnn.inference.detection import Detection
    from faster_rcnn.inference.result import Result

    assert faster_rcnn.Result is Result
    assert faster_rcnn.Detection is Detection


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'faster_rcnn' has no attribute 'Detectr'"):
        faster_rcnn.Detectr  # noqa: B018


def test_the_version_is_the_one_that_was_installed() -> None:
    assert faster_rcnn.__version__ == metadata.version("faster-rcnn")


@pytest.mark.parametrize("statement", ["import faster_rcnn", "from faster_rcnn import Callback"])
def test_importing_the_package_or_a_callback_does_not_import_torch(statement: str) -> None:
    program = f"import sys; {statement}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "False\n"


SCRIPT = """
import sys
from pathlib import Path
from faster_rcnn import Detector
data, config, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
images = sorted((data / "images").glob("val*.png"))
for progress in (False, True):
    detector = Detector.train(data, config=config, out=out / str(progress), progress=progress)
    detector.evaluate(data, "val", progress=progress)
    detector.predict(images[0], progress=progress)
    assert len(detector.predict(images, progress=progress)) == 2
    assert len(list(detector.predict(iter(images), progress=progress))) == 2
    detector.predict(images)
    for stream in (sys.stdout, sys.stderr):
        print("silent up to here", file=stream, flush=True) if not progress else None
"""


def test_calls_from_python_are_silent_unless_progress_is_asked_for(tmp_path: Path) -> None:
    data = make_squares(tmp_path / "data", {"train": 4, "val": 2})
    config = settings_file(tmp_path, epochs=1, batch=2, threads=1)
    line = [sys.executable, "-c", SCRIPT, str(data), str(config), str(tmp_path / "runs")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "silent up to here\n"
    silent, err = done.stderr.split("silent up to here\n")
    assert silent == ""
    for part in ("train: COCO JSON", "epoch 1/1  2/2  loss", "the best model is of epoch 1", "val: COCO JSON"):
        assert part in err
    assert "images of val  2/2" in err
    assert err.count("images  2") == 2  # predict with a list and with an iterator
