"""Settings of training that are numbers once a run has begun."""

from __future__ import annotations

import pytest

from faster_rcnn.settings.training import TrainingConfig


def test_the_images_of_a_step_are_a_number_once_a_run_has_one() -> None:
    assert TrainingConfig(batch=6).images_per_step == 6
    with pytest.raises(ValueError, match=r"training\.batch is auto, which a run replaces by a number"):
        _ = TrainingConfig(batch="auto").images_per_step
