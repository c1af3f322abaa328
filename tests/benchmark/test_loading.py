"""Detectors that a benchmark refuses."""

from __future__ import annotations

import pytest

from faster_rcnn.benchmark.loading import refuse_single_stages
from faster_rcnn.errors import OptionError
from faster_rcnn.settings.presets import preset


def test_detectors_of_a_single_stage_are_refused() -> None:
    for kind, hint in (("fast-rcnn", "is timed by: faster-rcnn compare"), ("rpn", "name a detector that has a second")):
        config = preset("small")
        other = config.model_copy(update={"detector": config.detector.model_copy(update={"kind": kind})})
        with pytest.raises(OptionError, match=rf"x: its detector\.kind is {kind}.*{hint}"):
            refuse_single_stages("x", other)
