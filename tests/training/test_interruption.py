from __future__ import annotations

import os
import signal
import threading

import pytest

from faster_rcnn.system.signals import Signalled
from faster_rcnn.training import interruption
from faster_rcnn.training.interruption import interrupting, stop_signals

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")


def test_signals_are_collected_and_those_that_arrive_together_are_one() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with stop_signals() as stop:
        assert stop() == 0
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop() == signal.SIGTERM
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_later_one_is_not_waited_for(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "SECONDS_OF_ONE_SIGNAL", 0.0)
    with stop_signals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop() == signal.SIGINT
        with pytest.raises(Signalled) as raised:
            os.kill(os.getpid(), number)
    assert raised.value.signal == number


def test_elsewhere_a_signal_raises_once() -> None:
    raised: list[int] = []
    with interrupting():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Signalled as error:
            os.kill(os.getpid(), signal.SIGTERM)  # the second one of timeout, while all is unwound
            raised.append(error.signal)
    assert raised == [signal.SIGTERM]


def test_a_closed_terminal_is_ignored_under_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupting(), stop_signals() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_off_the_main_thread_nothing_changes() -> None:
    found: list[int] = []

    def work() -> None:
        with stop_signals() as stop, interrupting():
            found.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [0]
