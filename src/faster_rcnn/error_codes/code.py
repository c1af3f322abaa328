"""``ErrorCode``: one code with its explanation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCode:
    """One code with its explanation; texts are plain sentences without markup."""

    code: str
    title: str
    meaning: str
    """What happened and what the command did about it."""
    example: str
    """A message as a user reads it, without the code before it."""
    remedy: str
    exit_codes: tuple[int, ...] = (2,)
    """What the command returns where this fault ends it."""
