from __future__ import annotations

import os
import signal
import threading

import pytest
from torch._C._distributed_c10d import TCPStore

from faster_rcnn.system.interruptible import interruptible
from faster_rcnn.system.signals import Signalled
from faster_rcnn.training.interruption import interrupting


def test_results_and_errors_are_those_of_the_work() -> None:
    assert interruptible(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError, match="as it is"):
        interruptible(lambda: (_ for _ in ()).throw(ZeroDivisionError("as it is")))


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")
def test_a_signal_ends_the_waiting_in_torch() -> None:
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    other = TCPStore("127.0.0.1", store.port, is_master=False, wait_for_workers=False)
    ended = threading.Event()

    def wait() -> None:
        try:
            store.get("key that another process sets")
        finally:
            ended.set()

    started = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    started.start()
    try:
        with interrupting(), pytest.raises(Signalled):
            interruptible(wait)
        assert not ended.is_set()  # torch waits on, and this thread does not
    finally:
        started.join()
        other.set("key that another process sets", "")
        assert ended.wait(60)
