"""Where a process is one of several that a launcher started: what it shows, and its end with the launcher.

Launchers are PyTorch's ``torchrun`` and ``system.launching``. No import of torch here: both are known at once.
"""

from __future__ import annotations

import os
import threading
import time

ROLE = "faster-rcnn"
"""Value of the environment variable ROLE_NAME in processes that ``system.launching`` started."""

_WATCHING = "watch of the launcher"
"""Name of the thread that checks it."""
_SECONDS_BETWEEN_CHECKS = 1.0
"""Time between two checks that the launcher is alive."""


def is_launched() -> bool:
    """Whether torch's launcher, as ``torchrun`` or in ``system.launching``, started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ and "RANK" in os.environ


def is_reported_on() -> bool:
    """Whether the process that launched this one has shown the first line, and reports on processes that are lost."""
    return is_launched() and os.environ.get("ROLE_NAME") == ROLE


def leave_out_details_of_torch() -> None:
    """Let torch's C++ code log errors alone in a launched process, unless the environment says otherwise.

    Every process would show its warning that a step of training used all weights. torch reads the level when it is
    loaded, which no command does before.
    """
    if is_launched():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def end_with_launcher() -> None:
    """Let a launched process end within seconds after its launcher, even where that was killed.

    A launched process has a session of its own: no signal of the terminal would end it.
    """
    if is_launched() and _WATCHING not in (each.name for each in threading.enumerate()):
        threading.Thread(target=_end_after, args=(os.getppid(),), daemon=True, name=_WATCHING).start()


def _end_after(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_SECONDS_BETWEEN_CHECKS)
    os._exit(1)
