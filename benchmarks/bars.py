"""Bars of benchmarks: required numbers, printed one per line; the exit code is 1 where one is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A measured number and its limit, of which exactly one is given."""

    what: str
    """Description of the number, with its unit."""
    measured: float
    at_least: float | None = None
    at_most: float | None = None
    goal: bool = False
    """Whether it is only a goal, which is printed and does not decide the exit code."""

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.what}: give either at_least or at_most")

    @property
    def met(self) -> bool:
        """Whether the number is within its limit; NaN never is."""
        if self.at_least is not None:
            return self.measured >= self.at_least
        return self.at_most is not None and self.measured <= self.at_most

    def __str__(self) -> str:
        asked = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return (
            f"{'goal' if self.goal else 'bar'}: {self.what}: measured {self.measured:.4g}, asked {asked}: "
            f"{'met' if self.met else 'missed'}"
        )


def judge(bars: Sequence[Bar]) -> int:
    """Print every bar and return the exit code, which is 1 also where there is no required bar."""
    for bar in bars:
        print(bar, flush=True)
    required = [bar.met for bar in bars if not bar.goal]
    if not required:
        print("no bar was measured", flush=True)
    return 0 if required and all(required) else 1
