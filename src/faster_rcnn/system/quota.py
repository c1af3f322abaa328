"""The CPU quota of the container that this process runs in, from Linux's control groups (cgroups) of both versions.

``docker run --cpus 1.5``, CPU limits of Kubernetes and ``CPUQuota=`` of systemd are such quotas. A process that exceeds
its quota is stopped for the rest of each period, usually 100 ms; neither ``os.cpu_count`` nor torch reads the quota.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path("/")
"""Folder that holds ``proc`` and ``sys``."""
FILES = (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
"""Files of a control group with its quota and its period in microseconds: of version 2, then of version 1."""


class _Mount(NamedTuple):
    """A mounted hierarchy of control groups that may limit CPU time."""

    version: int
    root: str
    """The control group that appears as the folder ``point``."""
    point: str


_USUAL_MOUNTS = (
    _Mount(2, "/", "/sys/fs/cgroup"),
    _Mount(1, "/", "/sys/fs/cgroup/cpu"),
    _Mount(1, "/", "/sys/fs/cgroup/cpu,cpuacct"),
)
"""The hierarchies of a system whose list of mounts names none."""


def cpu_quota(root: Path | None = None) -> float | None:
    """The number of CPUs whose time this process may use, such as 1.5; ``None`` where no quota is set.

    It is the smallest quota of the process's own control group and of all groups around it. Files that are missing or
    damaged count as no quota.

    Args:
        root: folder that holds ``proc`` and ``sys``; ``ROOT`` where not given.
    """
    root = ROOT if root is None else root
    quotas = (_quota_of(folder) for folder in _own_folders(root))
    return min((quota for quota in quotas if quota is not None), default=None)


def _own_folders(root: Path) -> Iterator[Path]:
    """The folder of the process's control group and of every group around it, in each hierarchy."""
    paths = _own_paths(root)
    for mount in list(_mounts(root)) or _USUAL_MOUNTS:
        folder = root / mount.point.lstrip("/")
        yield folder
        for part in _below(paths.get(mount.version, "/"), mount.root):
            folder /= part
            yield folder


def _own_paths(root: Path) -> dict[int, str]:
    """Path of the process's control group in the hierarchies that may limit CPU time, by version."""
    paths = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            paths[2] = path
        elif "cpu" in controllers.split(","):
            paths[1] = path
    return paths


def _mounts(root: Path) -> Iterator[_Mount]:
    """The hierarchies in the list of mounts, whose lines are explained in proc_pid_mountinfo(5)."""
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        match place.split(" "), kind.split(" "):
            case [_, _, _, of_root, point, *_], ["cgroup2", *_]:
                yield _Mount(2, _unescaped(of_root), _unescaped(point))
            case [_, _, _, of_root, point, *_], ["cgroup", _, options] if "cpu" in options.split(","):
                yield _Mount(1, _unescaped(of_root), _unescaped(point))


def _unescaped(text: str) -> str:
    r"""A path of the list of mounts, in which a space is ``\040``."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _below(path: str, mounted: str) -> tuple[str, ...]:
    """The folders from a mounted control group down to ``path``.

    A container may have mounted a group that its own path does not begin with; the whole path is then tried.

    >>> _below("/docker/4f2a/jobs", "/docker/4f2a")
    ('jobs',)
    """
    parts, first = PurePosixPath(path).parts[1:], PurePosixPath(mounted).parts[1:]
    if ".." in parts:  # the process is outside of the groups that its namespace contains
        return ()
    return parts[len(first) :] if parts[: len(first)] == first else parts


def _quota_of(folder: Path) -> float | None:
    """Quota divided by period of one control group; ``None`` where it has none, which is ``max`` or -1 in its file."""
    for names in FILES:
        try:
            quota, period = (int(word) for name in names for word in (folder / name).read_text("ascii").split())
            if min(quota, period) > 0:
                return quota / period
        except (OSError, ValueError, ArithmeticError):
            continue
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
