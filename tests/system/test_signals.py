"""The signals that stop a process, as far as the system has them."""

from __future__ import annotations

import os
import signal

import pytest

from faster_rcnn.system.signals import STOPPING


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
def test_ctrl_c_kill_and_a_closed_terminal_stop_a_process() -> None:
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} == set(STOPPING)


def test_signals_that_cannot_be_caught_are_not_among_them() -> None:
    assert not {getattr(signal, name, None) for name in ("SIGKILL", "SIGSTOP")} & set(STOPPING)
    assert signal.SIGINT in STOPPING
