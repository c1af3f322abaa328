from __future__ import annotations

import os

import pytest

from faster_rcnn.system.environment import variables_set


def test_variables_hold_within_the_block_and_are_as_before_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTER_RCNN_A", "1")
    monkeypatch.delenv("FASTER_RCNN_B", raising=False)

    def work() -> None:
        with variables_set({"FASTER_RCNN_A": "2", "FASTER_RCNN_B": "3"}):
            assert (os.environ["FASTER_RCNN_A"], os.environ["FASTER_RCNN_B"]) == ("2", "3")
            del os.environ["FASTER_RCNN_B"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert os.environ["FASTER_RCNN_A"] == "1"
    assert "FASTER_RCNN_B" not in os.environ
