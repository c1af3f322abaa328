"""Keep freed memory in the process instead of returning it to the operating system.

glibc, the C library of Linux, returns a block of more than 32 MB as soon as it is free, and the end of its heap once
more than 64 MB are free there. For the feature maps of the next image the system maps the same pages again, one by one,
and clears each of them: 90,000 times and more for an image of `base`, which takes a tenth of its time in float32, and
a larger share where convolutions are faster (``benchmarks/memory.py``).
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

MAX_BLOCK_BYTES = 256 * 2**20
"""Bytes of the largest block that is kept; larger ones, such as pixels of huge images, are returned at once."""
MAX_KEPT_BYTES = 2**30
"""Largest number of free bytes at the end of the heap that are kept; a training step of `small` leaves fewer."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Option numbers of glibc's malloc.h."""
ALLOCATOR_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""Environment variables that configure glibc's allocator; an existing setting is respected."""


@cache
def keep_freed_memory() -> bool:
    """Let this process keep memory that it has freed; returns whether that was set.

    The setting holds for the whole process, and is made once. Nothing changes if the C library is not glibc, or if the
    environment configures its allocator.
    """
    if any(os.environ.get(name) for name in ALLOCATOR_VARIABLES):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(set_option(M_MMAP_THRESHOLD, MAX_BLOCK_BYTES) and set_option(M_TRIM_THRESHOLD, MAX_KEPT_BYTES))
