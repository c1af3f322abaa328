"""Benchmark scripts as tests run them, and the bars that they print."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import Any

BAR = re.compile(r"bar: (.+): measured (\S+), asked (at least|at most) (\S+): (met|missed)")


def script(name: str) -> Any:
    return importlib.import_module(name)


def bars_in(text: str) -> list[tuple[str, ...]]:
    return [match.groups() for line in text.splitlines() if (match := BAR.fullmatch(line))]


def run(name: str, *arguments: object) -> int:
    code: int = script(name).main([str(each) for each in arguments])
    return code


def assert_judged(code: int, bars: Sequence[tuple[str, ...]], count: int) -> None:
    """The exit code is that of the bars that were printed, whatever was measured on this machine."""
    assert len(bars) == count
    assert code == int(any(bar[-1] == "missed" for bar in bars))
