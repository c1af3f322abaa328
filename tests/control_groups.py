"""Invented control groups: files as Linux shows them to a process, below a folder that stands for the root."""

from __future__ import annotations

from pathlib import Path

MOUNT_2 = "30 23 0:26 {root} {point} rw,nosuid - cgroup2 cgroup2 rw"
MOUNT_1 = "32 31 0:29 {root} {point} rw,relatime shared:9 master:1 - cgroup cgroup rw,cpu,cpuacct"
OTHERS = "25 23 0:5 / /proc rw - proc proc rw\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


def write_files(root: Path, files: dict[str, str]) -> Path:
    """Write texts by their path below ``root``."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def container(root: Path, cpu_max: str) -> Path:
    """A container of cgroup version 2, which has a namespace of its own, with a quota as its file has it."""
    mounts = f"{OTHERS}\n{MOUNT_2.format(root='/', point='/sys/fs/cgroup')}\n"
    return write_files(
        root,
        {"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mounts, "sys/fs/cgroup/cpu.max": f"{cpu_max}\n"},
    )
