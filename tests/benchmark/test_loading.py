"""Detectors and images that a benchmark takes or refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faster_rcnn.benchmark.loading import images_to_time, refuse_single_stages
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import preset
from files import image_file


def test_detectors_of_a_single_stage_are_refused() -> None:
    for kind, hint in (("fast-rcnn", "is timed by: faster-rcnn compare"), ("rpn", "name a detector that has a second")):
        config = preset("small")
        other = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": kind})})
        with pytest.raises(OptionError, match=rf"x: its detector\.kind is {kind}.*{hint}"):
            refuse_single_stages("x", other)


def test_the_first_images_are_timed_and_a_pipe_is_refused(tmp_path: Path) -> None:
    paths = [image_file(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    assert images_to_time([str(tmp_path)], 2) == paths[:2]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OptionError, match=r"--images .*pipe can be read only once"):
        images_to_time([str(tmp_path / "pipe")], 2)
