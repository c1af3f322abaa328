"""Signals: Ctrl-C, SIGTERM and SIGHUP end a run between two steps, and other work at once, with its clean-up."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from faster_rcnn.system.signals import SECONDS_OF_ONE_SIGNAL, STOPPING, Signalled


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """Collect these signals instead of raising; the given function returns the signal's number, or 0.

    A second signal raises ``Signalled`` at once. Off the main thread signals cannot be caught,
    and nothing changes.
    """
    received: list[int] = []

    def note(number: int) -> None:
        if received:
            raise Signalled(number)
        received.append(number)

    with _handling(note):
        yield lambda: received[0] if received else 0


@contextmanager
def interrupting() -> Iterator[None]:
    """Within it these signals raise ``Signalled`` in this process; a forked data worker ends without a message."""
    owner = os.getpid()

    def stop(number: int) -> None:
        if os.getpid() != owner:
            os._exit(128 + number)
        raise Signalled(number)

    with _handling(stop):
        yield


@contextmanager
def _handling(act: Callable[[int], None]) -> Iterator[None]:
    """Within it each signal calls ``act``, signals that arrive together once; SIGHUP stays ignored under ``nohup``."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last = -SECONDS_OF_ONE_SIGNAL

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        together = time.monotonic() - last < SECONDS_OF_ONE_SIGNAL
        last = time.monotonic()
        if not together:
            act(number)

    numbers = [each for each in STOPPING if each.name != "SIGHUP" or signal.getsignal(each) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
