"""How threads of OpenMP wait for each other: they check for a moment, and then sleep.

torch divides each operation among its threads, which then wait until the last one is done. By default, a waiting thread
checks for that end without a pause, for some milliseconds, which keeps its processor busy. If another program needs a
processor, the system may stop the one thread that all others wait for: a training step then takes several times as
long, and the waiting threads take time from the other program as well. Threads that sleep at once lose a tenth of the
time on an idle machine, since waking up takes longer than most waits. ``benchmarks/busy.py`` measures both.

OpenMP reads its environment once, when torch loads it. So this module is imported before torch, by the package itself.
"""

from __future__ import annotations

import os
import sys

WAITING = ("GOMP_SPINCOUNT", "10000")
"""The environment variable that is set, and its value: the number of checks before a thread of GCC's OpenMP sleeps.

A training step of `small` on two cores takes at most 2 % longer with it than with torch's own waiting, and 13 % longer
with threads that sleep at once. Beside a program that keeps one core busy it takes 2.4 times as long as on the idle
machine; 2.8 times with torch's own waiting, 6 times with 100,000 checks, and 1.7 times with none.
"""
OF_USER = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that decide how threads wait; an existing setting of any of them is respected."""


def set_waiting() -> bool:
    """Set ``WAITING`` in the environment of this process and of those that it starts; returns whether it was set.

    Nothing changes if torch is loaded already, which has read the environment by then, or if the user has decided.
    """
    if "torch" in sys.modules or any(os.environ.get(name) for name in OF_USER):
        return False
    name, value = WAITING
    os.environ[name] = value
    return True
