"""The number of CPU threads of this process, which may use fewer processors than the machine has.

torch computes on one thread for each core of the machine, or of the process's affinity. The quota of a
container does not change that number, so that with a quota of one CPU on a machine of 64 cores 64 threads share the
time of one; nor do other processes that train together with this one.
"""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from faster_rcnn.system import quota
from faster_rcnn.system.quota import cpu_quota
from faster_rcnn.system.wording import count_of

_LOG = logging.getLogger(__name__)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables by which a user chooses the number of threads; torch reads them when it is imported."""


@dataclass(frozen=True, slots=True)
class Processors:
    """The logical processors of the machine, and what limits their use by this process."""

    machine: int
    affinity: int | None
    """Number of processors that the process may run on (``taskset``, cpusets); ``None`` where the system has no such
    limit."""
    quota: float | None
    """Number of processors whose time the container may use."""

    @property
    def usable(self) -> int:
        """The number that this process may use: the smallest limit, rounded up, and at least 1."""
        limits = [self.machine, self.affinity, None if self.quota is None else math.ceil(self.quota)]
        return max(1, min(limit for limit in limits if limit is not None))

    def __str__(self) -> str:
        if self.usable == self.machine:
            return count_of(self.machine, "processor")
        limits = [] if self.affinity in (None, self.machine) else [f"affinity {self.affinity}"]
        limits += [] if self.quota is None else [f"CPU quota {self.quota:g}"]
        return f"{self.usable} of {count_of(self.machine, 'processor')}: {', '.join(limits)}"


def found_processors(root: Path | None = None) -> Processors:
    """The processors of this machine with their limits; ``root`` is that of ``cpu_quota``."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return Processors(os.cpu_count() or 1, affinity, cpu_quota(root))


def processors(root: Path | None = None) -> int:
    """The number of processors that this process may use: the least of machine, affinity, and quota rounded up."""
    return found_processors(root).usable


def physical_cores(root: Path | None = None) -> int:
    """The number of cores behind the processors that this process may run on.

    Two processors of one core (hyper-threading) count once, as torch counts them on x86. A processor whose core the
    system does not name counts as a core of its own.
    """
    top = (quota.ROOT if root is None else root) / "sys/devices/system/cpu"
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return len({_siblings(top / f"cpu{number}") for number in allowed})


def _siblings(processor: Path) -> str:
    """The processors that share a core with this one, such as ``0,4``; its own folder where that is not known."""
    try:
        return (processor / "topology/thread_siblings_list").read_text("ascii").strip() or str(processor)
    except (OSError, ValueError):
        return str(processor)


def default_threads(processes_on_this_machine: int | None = None) -> int:
    """The number of torch's threads in one of several processes that compute together; at least 1.

    It is never larger than the number that torch has now, so that a program that called ``torch.set_num_threads``
    keeps its own. Among several processes each one gets an equal share of the cores that they may use. A value of
    OMP_NUM_THREADS or MKL_NUM_THREADS holds as it is. There is one exception: torchrun sets OMP_NUM_THREADS=1 for
    several processes where the user set nothing, which cannot be distinguished from a user's own 1; below torchrun this
    value is replaced by the share. ``training.threads=1`` (``--threads 1``) forces one thread.

    The result does not depend on how often it was applied: torch's present number is only an upper limit.

    Args:
        processes_on_this_machine: number of processes; by default LOCAL_WORLD_SIZE, which torchrun sets, or else 1.
    """
    processes = processes_on_this_machine or _number("LOCAL_WORLD_SIZE") or 1
    if any(_number(name) for name in THREAD_VARIABLES) and not _set_by_torchrun(processes):
        return torch.get_num_threads()
    if processes == 1:
        return min(torch.get_num_threads(), processors())
    share = max(1, min(physical_cores(), processors()) // processes)
    return share if _set_by_torchrun(processes) else min(torch.get_num_threads(), share)


def use_default_threads() -> None:
    """Let torch compute on ``default_threads`` in this process, for a program that owns it, such as the command.

    The library itself does not call it: the number belongs to the program, whose other networks it concerns as well.
    Training is different, because a run has a number of its own (``training.threads``) and restores the program's.
    """
    before, threads = torch.get_num_threads(), default_threads()
    if threads == before:  # setting it again would still turn off MKL's own choice for small products
        return
    _LOG.debug(f"{count_of(threads, 'CPU thread')} in place of {before}, on {found_processors()}")
    torch.set_num_threads(threads)


def _set_by_torchrun(processes: int) -> bool:
    """Whether the number of threads is the one that torchrun sets by itself."""
    is_below = processes > 1 and "TORCHELASTIC_RUN_ID" in os.environ
    return is_below and _number("OMP_NUM_THREADS") == 1 and _number("MKL_NUM_THREADS") is None


def _number(name: str) -> int | None:
    """The positive integer of an environment variable, of ``4,2`` the first one; ``None`` for anything else."""
    first = os.environ.get(name, "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() and len(first) < 10 and int(first) else None
