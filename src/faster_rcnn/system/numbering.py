"""Names of new folders: the first of NAME, NAME-2, NAME-3, ... that is free."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path


def first_free(path: Path, is_taken: Callable[[Path], bool] = os.path.lexists) -> Path:
    """Return ``path``, or the first of ``path-2``, ``path-3``, ... that is not taken. Nothing is created.

    By default a name is taken where anything has it, a broken link included.
    """
    names = (path if number == 1 else path.with_name(f"{path.name}-{number}") for number in count(1))
    return next(name for name in names if not is_taken(name))
