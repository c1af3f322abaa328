"""The signals that ask a process to stop."""

from __future__ import annotations

import signal

STOPPING = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C; ``kill``, ``timeout`` and batch systems; a terminal or connection that is closed, which Windows lacks."""
