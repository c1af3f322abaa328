"""What is logged for a while."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logged_from(level: int, *names: str) -> Iterator[None]:
    """Within it the loggers of these names log nothing below a level; then they are as before."""
    loggers = [logging.getLogger(name) for name in names]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(max(each.level, level))
    try:
        yield
    finally:
        for each, own in zip(loggers, before, strict=True):
            each.setLevel(own)
