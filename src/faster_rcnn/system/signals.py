"""The signals that stop a process."""

from __future__ import annotations

import signal

STOPPING = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""SIGINT: Ctrl-C. SIGTERM: ``kill``, ``timeout``, batch systems. SIGHUP: a closed terminal; Windows lacks it."""

SECONDS_OF_ONE_SIGNAL = 1.0
"""Signals within this time count as one: ``timeout`` sends its signal to the command and then to its group."""


class Signalled(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP arrived; code that saves its work on Ctrl-C saves it for all three."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number
