from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

import faster_rcnn


def test_the_public_names_are_sorted_and_exist() -> None:
    assert faster_rcnn.__all__ == sorted(faster_rcnn.__all__) == dir(faster_rcnn)
    assert all(getattr(faster_rcnn, name) is not None for name in faster_rcnn.__all__)


def test_detector_is_the_class_of_its_file() -> None:
    from faster_rcnn.detector import Detector

    assert faster_rcnn.Detector is Detector


def test_callback_is_the_class_of_its_file() -> None:
    from faster_rcnn.training.callback import Callback

    assert faster_rcnn.Callback is Callback


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
