"""Memory that the feature maps of one image leave is there for those of the next one.

The C library of Linux gives a block of more than 32 MB back to the system as soon as it is free, and the end of its
heap once more than 64 MB are free there. For the next image the system hands out the same pages again, one by one, and
clears each of them: 90,000 times and more for an image of `base`, which is a tenth of its time in float32, and more
where convolutions are faster (``benchmarks/memory.py``).
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

MAX_BLOCK_BYTES = 256 * 2**20
"""Bytes of the largest block that is kept; larger ones, such as pixels of huge images, are given back at once."""
MAX_KEPT_BYTES = 2**30
"""Bytes at the end of the heap that are kept at most; a training step of `small` leaves less."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's malloc.h."""
ALLOCATOR_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES")
"""Variables of the environment by which people set this themselves."""


@cache
def keep_freed_memory() -> bool:
    """Let this process keep memory that it has freed; whether it does so from now on.

    Nothing changes where the C library is another one than glibc, or where the environment has settings for it.
    """
    if any(os.environ.get(name) for name in ALLOCATOR_VARIABLES):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(set_option(M_MMAP_THRESHOLD, MAX_BLOCK_BYTES) and set_option(M_TRIM_THRESHOLD, MAX_KEPT_BYTES))
