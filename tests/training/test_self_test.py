from __future__ import annotations

import pytest
import torch

from faster_rcnn.errors import MachineError
from faster_rcnn.structures import Losses
from faster_rcnn.training import self_test


def test_losses_that_are_not_finite_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    nan = torch.tensor(torch.nan)
    monkeypatch.setattr(self_test, "training_step", lambda *_, **__: Losses(nan, nan, nan, nan))
    with pytest.raises(MachineError, match="a new detector gave numbers that are not finite"):
        self_test.self_test()
