"""What a benchmark asks for: one line for each bar, and an exit code that is 1 where one is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that was measured, and what it has to be."""

    what: str
    """With its unit."""
    measured: float
    at_least: float | None = None
    at_most: float | None = None
    """One of both is given."""
    goal: bool = False
    """Wished for, not required: it is told, and does not count."""

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.what}: give either at_least or at_most")

    @property
    def met(self) -> bool:
        """What is not a number meets nothing."""
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
    """Print every bar; returns the exit code, 1 also where nothing could be judged."""
    for bar in bars:
        print(bar, flush=True)
    required = [bar.met for bar in bars if not bar.goal]
    if not required:
        print("no bar was measured", flush=True)
    return 0 if required and all(required) else 1
