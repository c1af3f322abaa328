from __future__ import annotations

import math

import pytest

from faster_rcnn.errors import MachineError
from faster_rcnn.training import self_test
from faster_rcnn.training.step import StepLosses


def test_losses_that_are_not_finite_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "training_step", lambda *_, **__: StepLosses({}, math.nan))
    with pytest.raises(MachineError, match="a new detector gave numbers that are not finite"):
        self_test.self_test()
