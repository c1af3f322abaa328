"""Waiting for work that a signal can end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Value = TypeVar("Value")


def interruptible(work: Callable[[], Value]) -> Value:
    """The result of ``work``, which may wait in C++, where Python runs no handlers of signals.

    A thread does the work while this one waits and handles signals. Where a signal ends the waiting, the thread is left
    behind, and ends with the process.
    """
    future: Future[Value] = Future()

    def act() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
            future.set_exception(error)

    threading.Thread(target=act, daemon=True, name="work that is waited for").start()
    return future.result()
