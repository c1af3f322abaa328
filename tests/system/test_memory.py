"""Freed memory stays in the process where the C library allows it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from faster_rcnn.system import memory

SCRIPT = """
import resource, torch
from faster_rcnn.system.memory import keep_freed_memory
kept = keep_freed_memory()
counts = []  # of the last one: until then the heap grows
for _ in range(8):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(100 * 2**18).add_(1)
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, counts[-1])
"""
PAGES = 100 * 2**20 // 4096
"""Pages of the 100 MB that the script frees and takes again."""


def pages_asked_for() -> tuple[bool, int]:
    """Whether a process keeps its memory, and how many pages the system maps when the process takes it again."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={"OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.PIPE, text=True
    )
    kept, pages = done.stdout.split()
    return kept == "True", int(pages)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_stays_for_the_next_image() -> None:
    kept, pages = pages_asked_for()
    assert kept
    assert pages < PAGES / 10


@pytest.mark.parametrize("name", memory.ALLOCATOR_VARIABLES)
def test_settings_of_the_environment_are_respected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: object) -> object:
        raise AssertionError

    monkeypatch.setenv(name, "1")
    monkeypatch.setattr("ctypes.CDLL", never)
    assert not memory.keep_freed_memory.__wrapped__()


def test_another_c_library_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in memory.ALLOCATOR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not memory.keep_freed_memory.__wrapped__()
