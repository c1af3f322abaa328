"""How many compiled operations oneDNN keeps: as many as training on images of many sizes needs.

oneDNN compiles every convolution for the shape of its input, keeps the last 1,024 of them, and compiles the others
again when they are needed. A training step of `small` has some 180; images that are padded to 36 different sizes have
6,500. With too few that are kept, every step compiles most of them anew, and their memory lies scattered among that of
the feature maps, which then find fewer large places: over 2,000 such steps the process grew by 51 MB from the second
quarter to the last one. With all of them kept it grows no more after some 180 steps, and after 300 steps it used
1,234 MB instead of 1,331 (``benchmarks/many_sizes.py``). An operation that is kept takes some 10 kB.
"""

from __future__ import annotations

import os

KEPT = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16384")
"""The environment variable that is set, and its value: the largest number of operations that are kept."""
OF_USER = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY")
"""Environment variables that decide it, the second one by its former name; a user's own is respected."""


def keep_primitives() -> bool:
    """Set ``KEPT`` in the environment of this process and of those that it starts; returns whether it was set.

    oneDNN reads it when it compiles its first operation.
    """
    if any(os.environ.get(name) for name in OF_USER):
        return False
    name, value = KEPT
    os.environ[name] = value
    return True
